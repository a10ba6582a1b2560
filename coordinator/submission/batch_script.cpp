#include "coordinator/submission/batch_script.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/submission/batch_template.hpp"
#include "coordinator/submission/quoting.hpp"
#include "coordinator/submission/run_folder.hpp"
#include "jobs/file.hpp"

namespace fp8cal {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = 1 << 20;
constexpr std::uint64_t kMebibyte = 1 << 20;

/// The job file's stem, as Slurm's tables show names best.
std::string job_name(const BatchJob& batch) {
  std::string name = batch.job_file.stem().string();
  const auto is_plain = [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-');
  };
  std::replace_if(
      name.begin(), name.end(), [&](char c) { return !is_plain(c); }, '_');
  return name;
}

std::string optional_line(const std::string& name, const std::string& value) {
  return value.empty() ? "" : sbatch_line(name, value);
}

/// Lines that both scripts have. Slurm counts memory in MiB. pattern: of the files of output.
std::string common_directives(const BatchJob& batch, const BatchRequest& request,
                              const std::string& name, std::uint64_t memory,
                              const std::string& pattern) {
  const std::string files = in_file_pattern((batch.run_folder / "slurm-").string()) + pattern;
  return sbatch_line("job-name", name) +
         sbatch_line("mem", fmt::format("{}M", (memory + kMebibyte - 1) / kMebibyte)) +
         optional_line("time", request.time) + optional_line("partition", request.partition) +
         optional_line("account", request.account) + sbatch_line("output", files + ".out") +
         sbatch_line("error", files + ".err") +
         sbatch_line("comment", job_comment(batch.run_folder)) +
         sbatch_line("chdir", std::filesystem::current_path().string());
}

std::string run_directives(const BatchJob& batch, const BatchRequest& request,
                           const SiteConfig& site) {
  const std::string ranks = fmt::to_string(request.ranks_per_node);
  const std::string array =
      batch.is_array() ? fmt::format("0-{}", batch.tasks.size() - 1) : std::string();
  return common_directives(batch, request, job_name(batch), request.memory,
                           batch.is_array() ? "%A_%a" : "%j") +
         sbatch_line("nodes", fmt::to_string(request.nodes)) +
         sbatch_line("ntasks-per-node", ranks) +
         optional_line("gpus-per-node", request.gpus ? ranks : "") +
         optional_line("dependency", request.after.empty() ? "" : "afterok:" + request.after) +
         optional_line("array", array) + sbatch_line("open-mode", "append") +
         "#SBATCH --requeue\n" + sbatch_line("signal", fmt::format("B:USR1@{}", site.warning));
}

std::string setup_of(const SiteConfig& site) {
  if (site.modules.empty()) return "";
  std::string line = "module load";
  for (const std::string& module : site.modules) line += fmt::format(" {}", bash_word(module));
  return line + "\n";
}

std::vector<std::string> words_of_options(const std::vector<JobOption>& options) {
  std::vector<std::string> words;
  for (const JobOption& option : options) {
    words.push_back("--" + option.key);
    words.push_back(option.value);
  }
  return words;
}

/// An array's tasks differ in what they add to the arguments.
std::string task_arguments(const BatchJob& batch) {
  std::string text = "case \"$SLURM_ARRAY_TASK_ID\" in\n";
  for (std::size_t task = 0; task < batch.tasks.size(); ++task) {
    text += fmt::format("  {}) {} ;;\n", task,
                        bash_array("arguments+", words_of_options(batch.tasks[task].options)));
  }
  return text +
         "  *)\n    echo \"fp8cal: no task $SLURM_ARRAY_TASK_ID in this sweep\" >&2\n"
         "    exit 2\n    ;;\nesac\n";
}

std::string run_settings(const BatchJob& batch, const BatchRequest& request, const SiteConfig& site,
                         const std::vector<std::string>& program) {
  std::vector<JobOption> options = batch.options;
  if (!request.device_memory.empty()) {
    options.push_back({"runtime.device_memory", request.device_memory});
  }
  if (batch.is_array()) {
    options.push_back({"runtime.token_cache", token_cache_of(batch.run_folder).string()});
  } else {
    const auto& own = batch.tasks.front().options;
    options.insert(options.end(), own.begin(), own.end());
  }
  std::vector<std::string> arguments = batch.command;
  const std::vector<std::string> words = words_of_options(options);
  arguments.insert(arguments.end(), words.begin(), words.end());
  return bash_array("fp8cal", program) + "\n" + bash_array("arguments", arguments) + "\n" +
         (batch.is_array() ? task_arguments(batch) : "") +
         "run_folder=" + bash_word(batch.run_folder.string()) + "\n" +
         fmt::format("ranks_per_node={}\n", request.ranks_per_node) +
         "launcher=" + bash_word(site.launcher) + "\n" +
         bash_array("launcher_options", site.launcher_options) + "\n" +
         "bind=" + bash_word(site.bind) + "\n" + fmt::format("retries={}\n", site.retries);
}

}  // namespace

std::string run_script(const BatchJob& batch, const BatchRequest& request, const SiteConfig& site,
                       const std::vector<std::string>& program,
                       const std::filesystem::path& template_file) {
  const ScriptParts parts = {.directives = run_directives(batch, request, site),
                             .setup = setup_of(site),
                             .settings = run_settings(batch, request, site, program)};
  if (template_file.empty()) return render_template("run.sbatch", run_template(), parts);
  return render_template(template_file.string(), read_text_file(template_file, kMaxTemplateBytes),
                         parts);
}

std::string collect_script(const BatchJob& batch, const BatchRequest& request,
                           const SiteConfig& site, const std::vector<std::string>& program) {
  return render_template(
      "collect.sbatch", collect_template(),
      {.directives = common_directives(batch, request, job_name(batch) + "-collect",
                                       request.collect_memory, "%j") +
                     sbatch_line("nodes", "1") + sbatch_line("ntasks", "1"),
       .setup = setup_of(site),
       .settings = bash_array("fp8cal", program) + "\n" + bash_array("arguments", batch.collect) +
                   "\nrun_folder=" + bash_word(batch.run_folder.string()) + "\n"});
}

}  // namespace fp8cal
