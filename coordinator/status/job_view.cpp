#include "coordinator/status/job_view.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "coordinator/resume/progress_file.hpp"
#include "coordinator/status/sweep_record.hpp"

namespace fp8cal {
namespace {

/// None where there is no such file.
std::optional<std::int64_t> modified(const std::filesystem::path& file) {
  struct stat found {};
  if (::stat(file.c_str(), &found) != 0) return std::nullopt;
  return found.st_mtime;
}

/// "120" of "120_3".
std::uint64_t array_of(const std::string& id) {
  return is_slurm_id(id) ? std::stoull(id.substr(0, id.find('_'))) : 0;
}

bool is_older(const SlurmJob& a, const SlurmJob& b) { return array_of(a.id) < array_of(b.id); }

/// The latest of those that `belongs` is true of.
template <class Belongs>
std::optional<SlurmJob> latest(const std::vector<SlurmJob>& jobs, Belongs belongs) {
  std::optional<SlurmJob> found;
  for (const SlurmJob& job : jobs) {
    if (belongs(job) && (!found || is_older(*found, job))) found = job;
  }
  return found;
}

void read_status_file(TaskView& view) {
  std::error_code ignored;
  if (!std::filesystem::exists(view.status_file, ignored)) {
    view.status_problem = "not started";
    return;
  }
  try {
    view.status = read_status(view.status_file);
  } catch (const Error& error) {
    view.status_problem = error.what();
  }
}

void complete(TaskView& view, const std::string& folder) {
  read_status_file(view);
  // A job that was submitted again and has not begun, or that another one has followed.
  if (view.slurm && view.status && view.status->slurm_job != view.slurm->id) {
    view.status_problem = "it has written no status; the file is of " +
                          (view.status->slurm_job ? "job " + *view.status->slurm_job
                                                  : std::string("one that Slurm did not start"));
    view.status.reset();
  }
  if (view.status && view.status->checkpoint) {
    view.saved = modified(progress_file(*view.status->checkpoint));
  }
  const std::string id = view.slurm_id();
  if (!is_slurm_id(id)) return;
  const bool is_told = view.task && view.status && view.status->ended();
  if (!view.slurm && !is_told) view.record = ask_sacct(id);
  if (folder.empty()) return;
  const auto file = std::filesystem::path(folder) / ("slurm-" + id + ".err");
  if (modified(file)) view.standard_error = file.string();
}

}  // namespace

std::string TaskView::slurm_id() const {
  if (slurm) return slurm->id;
  return status ? status->slurm_job.value_or("") : "";
}

JobView view_of_folder(const std::string& folder, const std::vector<SlurmJob>& jobs,
                       const std::string& slurm_problem) {
  JobView view{.folder = folder, .slurm_problem = slurm_problem};
  const std::filesystem::path path = folder;
  std::error_code ignored;
  view.is_array = std::filesystem::exists(path / "sweep.json", ignored);
  const auto single = latest(jobs, [](const SlurmJob& job) { return !job.task; });
  if (!view.is_array) {
    view.tasks.push_back({.status_file = path / "status.json", .slurm = single});
  } else {
    view.collecting = single;
    for (const SweepTask& task : read_sweep(path / "sweep.json").tasks) {
      const auto own = [&task](const SlurmJob& job) { return job.task == task.task; };
      view.tasks.push_back(
          {.task = task.task, .status_file = task.status, .slurm = latest(jobs, own)});
    }
  }
  for (TaskView& task : view.tasks) complete(task, folder);
  return view;
}

JobView view_of_file(const std::string& status_file) {
  JobView view;
  view.tasks.push_back({.status_file = status_file});
  complete(view.tasks.front(), "");
  return view;
}

}  // namespace fp8cal
