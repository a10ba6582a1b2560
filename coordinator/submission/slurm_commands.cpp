#include "coordinator/submission/slurm_commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "coordinator/child_process.hpp"
#include "coordinator/submission/text_checks.hpp"
#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

constexpr std::chrono::seconds kLimit{120};

/// What lines of a script say, and what would keep sbatch until the job's end.
constexpr std::array<std::string_view, 22> kDropped = {
    "SBATCH_ACCOUNT",       "SBATCH_ARRAY_INX",      "SBATCH_ERROR",      "SBATCH_GPUS",
    "SBATCH_GPUS_PER_NODE", "SBATCH_GPUS_PER_TASK",  "SBATCH_JOB_NAME",   "SBATCH_MEM_PER_CPU",
    "SBATCH_MEM_PER_GPU",   "SBATCH_MEM_PER_NODE",   "SBATCH_NO_REQUEUE", "SBATCH_OPEN_MODE",
    "SBATCH_OUTPUT",        "SBATCH_PARTITION",      "SBATCH_REQUEUE",    "SBATCH_SIGNAL",
    "SBATCH_TIMELIMIT",     "SBATCH_WAIT",           "SBATCH_IGNORE_PBS", "SBATCH_INPUT",
    "SBATCH_DEBUG",         "SBATCH_GPUS_PER_SOCKET"};

bool is_dropped(std::string_view name) {
  const bool configures = name.starts_with("SLURM_CONF") || name.starts_with("SLURM_JWT");
  return (name.starts_with("SLURM_") && !configures) || name.starts_with("SINFO_") ||
         name.starts_with("SQUEUE_") ||
         std::find(kDropped.begin(), kDropped.end(), name) != kDropped.end();
}

std::string succeed(const std::vector<std::string>& words,
                    const std::vector<std::string>& environment) {
  Finished finished = run_program(words, environment, kLimit);
  if (finished.status == 0) return std::move(finished.output);
  const std::string said = refusal_of(finished.errors);
  throw Error(ExitCode::bad_input,
              fmt::format("{}: {}", words.front(),
                          said.empty() ? fmt::format("exit status {}", finished.status) : said));
}

/// "123" of "123\n" or, with several clusters, of "123;name\n" (sbatch(1), --parsable).
std::string job_id_of(const std::string& output) {
  const std::string text = trimmed(output);
  const std::size_t line = text.rfind('\n');
  const std::string last = line == std::string::npos ? text : text.substr(line + 1);
  std::string id = last.substr(0, last.find(';'));
  if (!id.empty() && id.find_first_not_of("0123456789") == std::string::npos) return id;
  throw Error(ExitCode::failed, "sbatch: expected a job's id, found " + in_quotes(last));
}

}  // namespace

std::vector<NodeGroup> SlurmCommands::nodes() const {
  return parse_node_groups(succeed(sinfo_arguments(), environment_));
}

std::optional<std::string> SlurmCommands::job_with_comment(const std::string& comment) const {
  std::istringstream lines(
      succeed({"squeue", "--me", "--noheader", "--format=%F %k"}, environment_));
  for (std::string line; std::getline(lines, line);) {
    const std::string text = trimmed(line);
    const std::size_t blank = text.find(' ');
    if (blank != std::string::npos && text.substr(blank + 1) == comment) {
      return text.substr(0, blank);
    }
  }
  return std::nullopt;
}

std::string SlurmCommands::submit(const std::filesystem::path& script,
                                  const std::vector<std::string>& options) const {
  std::vector<std::string> words = {"sbatch", "--parsable"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(script.string());
  try {
    return job_id_of(succeed(words, environment_));
  } catch (const Error& error) {
    if (error.code() == ExitCode::bad_input) throw;
    throw Error(error.code(),
                fmt::format("{}; 'squeue --me' shows whether the job is queued", error.what()));
  }
}

std::vector<std::string> job_environment(const std::vector<std::string>& environment) {
  std::vector<std::string> kept;
  for (const std::string& entry : environment) {
    if (!is_dropped(std::string_view(entry).substr(0, entry.find('=')))) kept.push_back(entry);
  }
  return kept;
}

std::string refusal_of(const std::string& errors) {
  std::string said = first_line(errors);
  for (const std::string mark : {"fatal: ", "error: "}) {
    const std::size_t at = errors.find(mark);
    if (at == std::string::npos) continue;
    said = first_line(std::string_view(errors).substr(at + mark.size()));
    break;
  }
  return said;
}

}  // namespace fp8cal
