#include "coordinator/status/status_command.hpp"

#include <fmt/format.h>

#include <chrono>
#include <map>

#include "coordinator/status/job_view.hpp"
#include "coordinator/status/printable.hpp"
#include "coordinator/status/slurm_jobs.hpp"
#include "coordinator/status/status_text.hpp"
#include "coordinator/submission/run_folder.hpp"
#include "coordinator/supervision/last_words.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

/// What squeue answers, or why it does not.
struct Answer {
  std::vector<SlurmJob> jobs;
  std::string problem;
};

Answer ask(const std::vector<std::string>& options) {
  try {
    return {.jobs = ask_squeue(options), .problem = ""};
  } catch (const Error& error) {
    return {.jobs = {}, .problem = error.what()};
  }
}

std::vector<JobView> jobs_in_queue() {
  std::map<std::string, std::vector<SlurmJob>> by_folder;
  for (SlurmJob& job : ask_squeue({"--me"})) {
    const std::string folder = folder_in_comment(job.comment);
    if (!folder.empty()) by_folder[folder].push_back(std::move(job));
  }
  std::vector<JobView> views;
  for (const auto& [folder, jobs] : by_folder) views.push_back(view_of_folder(folder, jobs, ""));
  return views;
}

/// Of an array, only the task of this id, if it names one.
void keep_task(JobView& view, const std::string& id) {
  const std::size_t bar = id.find('_');
  if (!view.is_array || bar == id.npos) return;
  const std::uint64_t task = std::stoull(id.substr(bar + 1));
  std::erase_if(view.tasks, [task](const TaskView& one) { return one.task != task; });
  if (!view.tasks.empty()) return;
  throw InputError(id, "task", "one of the array's", "another");
}

/// Slurm forgets jobs some minutes after their end; accounting may remember their comment.
JobView job_of_id(const std::string& id) {
  Answer answer = ask({"-t", "all", "-j", id});
  std::string comment;
  if (!answer.jobs.empty()) {
    comment = answer.jobs.front().comment;
    answer.problem.clear();
  } else if (const auto record = ask_sacct(id)) {
    comment = record->comment;
  } else {
    throw InputError(id, "Slurm job", "one that Slurm knows of (else give the job file)",
                     answer.problem.empty() ? "none of this id" : answer.problem);
  }
  const std::string folder = folder_in_comment(comment);
  if (folder.empty()) {
    throw InputError(id, "Slurm job", "one of 'fp8cal submit', or its job file",
                     "comment '" + printable(comment).substr(0, 200) + "'");
  }
  JobView view = view_of_folder(folder, answer.jobs, answer.problem);
  keep_task(view, id);
  return view;
}

JobView job_of_file(const std::string& file) {
  const Job job = read_job(file, {});
  const std::string folder = run_folder_of(job.output.result).string();
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) {
    Answer answer = ask({"-t", "all", "--me"});
    std::erase_if(answer.jobs,
                  [&](const SlurmJob& one) { return folder_in_comment(one.comment) != folder; });
    return view_of_folder(folder, answer.jobs, answer.problem);
  }
  if (std::filesystem::exists(job.runtime.status, ignored)) return view_of_file(job.runtime.status);
  throw InputError(file, "nothing known of this job",
                   job.runtime.status.empty() ? folder : folder + " or " + job.runtime.status,
                   "neither submitted nor started");
}

std::vector<JobView> views_of(const std::string& subject) {
  if (subject.empty()) return jobs_in_queue();
  if (is_slurm_id(subject)) return {job_of_id(subject)};
  return {job_of_file(subject)};
}

void print_json(const std::vector<JobView>& views) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const JobView& view : views) all.push_back(status_json(view));
  fmt::print("{}\n", nlohmann::ordered_json{{"jobs", all}}.dump(
                         2, ' ', true, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

int show_status(const CommandLine& line) {
  try {
    const std::vector<JobView> views = views_of(line.subject);
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    if (line.json) {
      print_json(views);
    } else if (views.empty()) {
      fmt::print("no jobs of 'fp8cal submit' in the queue\n");
    }
    for (const JobView& view : views) {
      if (!line.json) fmt::print("{}", status_text(view, now));
    }
    return static_cast<int>(ExitCode::done);
  } catch (const Error& error) {
    print_error(error.what());
    return static_cast<int>(ExitCode::bad_input);
  }
}

}  // namespace fp8cal
