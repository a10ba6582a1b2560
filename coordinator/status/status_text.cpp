#include "coordinator/status/status_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/duration_text.hpp"
#include "coordinator/status/printable.hpp"

namespace fp8cal {
namespace {

// Written each 2 s; a failed write is not tried again for 60 s, and network file systems show a
// file's new content late.
constexpr std::int64_t kSilence = 90;

std::string ago(std::int64_t then, std::int64_t now) {
  const std::int64_t age = std::max<std::int64_t>(0, now - then);
  if (age < 60) return fmt::format("{} s ago", age);
  if (age < 86400) return duration_text(static_cast<double>(age)) + " ago";
  return fmt::format("{} days ago", age / 86400);
}

std::int64_t updated(const JobStatus& status) { return *parse_utc(status.updated); }

/// "calibrate layers 0-31, layer 12: 34/128 sequences, 41000 tokens/s, 0:12 left of this stage".
std::string stage_text(const JobStatus& status) {
  std::string text = status.stage.empty() ? "at the start" : printable(status.stage);
  if (status.layer) text += fmt::format(", layer {}", *status.layer);
  if (status.unit.empty()) return text;
  text += fmt::format(": {}/{} {}", status.done, status.units, printable(status.unit));
  if (status.tokens_per_second) {
    text += fmt::format(", {:.0f} tokens/s", *status.tokens_per_second);
  }
  if (status.seconds_left) {
    text += fmt::format(", {} left of this stage", duration_text(*status.seconds_left));
  }
  return text;
}

/// Whether Slurm says that it is over, whatever the status file does.
bool slurm_ended(const TaskView& view) {
  return (view.slurm && has_ended(view.slurm->state)) ||
         (view.record && has_ended(view.record->state));
}

/// What the job itself says, or left unsaid.
std::string own_words(const TaskView& view, std::int64_t now) {
  if (!view.status) return printable(view.status_problem);
  const JobStatus& status = *view.status;
  const std::string message = printable(status.message);
  if (status.state == "done") return "done";
  if (status.state == "gate_failed") return "a quality gate failed: " + message;
  if (status.state == "differs") return "the audit found a difference: " + message;
  if (status.state == "stopped") return "stopped, to go on later: " + message;
  if (status.state == "failed") {
    return fmt::format("failed with exit code {}: {}", status.exit_code.value_or(1), message);
  }
  const std::string last = ago(updated(status), now);
  if (slurm_ended(view)) {
    return fmt::format("killed, or ended without a word, in {} (last heard of {})",
                       stage_text(status), last);
  }
  const bool silent = now - updated(status) > kSilence;
  return fmt::format("{} ({} {})", stage_text(status),
                     silent ? "silent: killed, or its file system is away; updated" : "updated",
                     last);
}

std::string restarts_text(const std::string& count) {
  if (count.empty() || count == "0") return "";
  return fmt::format(", {} restart{}", printable(count), count == "1" ? "" : "s");
}

/// "RUNNING on n[1-2], 1 restart, 3:12 of 10:00 left".
std::string slurm_text(const SlurmJob& job) {
  std::string text = printable(job.state);
  if (job.state == "PENDING") {
    text += fmt::format(" ({}), priority {}", printable(job.reason), printable(job.priority));
    if (job.start != "N/A" && !job.start.empty()) {
      text += ", expected to start " + printable(job.start);
    }
    return text + restarts_text(job.restarts);
  }
  if (!job.nodes.empty()) text += " on " + printable(job.nodes);
  text += restarts_text(job.restarts);
  if (!has_ended(job.state)) {
    text += fmt::format(", {} of {} left", printable(job.time_left), printable(job.time_limit));
  }
  return text;
}

/// What Slurm says, or why it says nothing.
std::string slurm_words(const TaskView& view, const std::string& problem) {
  if (view.slurm) return slurm_text(*view.slurm);
  if (view.record) {
    return fmt::format("{} with exit code {} (from accounting)", printable(view.record->state),
                       printable(view.record->exit_code));
  }
  if (!problem.empty()) return "Slurm is not heard: " + printable(problem);
  if (view.slurm_id().empty()) return "not started by Slurm";
  return "Slurm does not know it any more";
}

/// Lines below what the job says; each begins with `indent`.
std::string details(const TaskView& view, const std::string& indent, std::int64_t now) {
  if (!view.status) return "";
  const JobStatus& status = *view.status;
  std::string text;
  if (status.digest)
    text += fmt::format("{}content digest {}\n", indent, printable(*status.digest));
  if (view.saved && status.state != "done") {
    text += fmt::format("{}progress saved {} in {}\n", indent, ago(*view.saved, now),
                        printable(*status.checkpoint));
  }
  const bool unwell = status.state == "failed" || (!status.ended() && slurm_ended(view));
  if (unwell && !view.standard_error.empty()) {
    text += fmt::format("{}standard error {}\n", indent, printable(view.standard_error));
  }
  return text + fmt::format("{}result {}\n", indent, printable(status.result));
}

std::string single_text(const JobView& view, std::int64_t now) {
  const TaskView& task = view.tasks.front();
  const std::string id = task.slurm_id();
  std::string text = id.empty() ? "job" : "job " + printable(id);
  if (task.slurm) text += "  " + printable(task.slurm->name);
  text += fmt::format("  {}\n  {}\n", slurm_words(task, view.slurm_problem), own_words(task, now));
  return text + details(task, "  ", now);
}

std::string array_text(const JobView& view, std::int64_t now) {
  std::string text = fmt::format("{} task{} in {}\n", view.tasks.size(),
                                 view.tasks.size() == 1 ? "" : "s", printable(view.folder));
  for (const TaskView& task : view.tasks) {
    const std::string id = task.slurm_id();
    text += fmt::format("  task {}{}  {}  {}\n", *task.task,
                        id.empty() ? "" : fmt::format(" ({})", printable(id)),
                        slurm_words(task, view.slurm_problem), own_words(task, now));
    if (task.status && task.status->ended()) text += details(task, "    ", now);
  }
  if (view.collecting) {
    text += fmt::format("  collecting job {}  {}\n", printable(view.collecting->id),
                        slurm_text(*view.collecting));
  }
  return text;
}

nlohmann::ordered_json to_json(const SlurmJob& job) {
  return {{"id", job.id},
          {"name", job.name},
          {"state", job.state},
          {"reason", job.reason},
          {"nodes", job.nodes},
          {"restarts", job.restarts},
          {"time_left", job.time_left},
          {"time_limit", job.time_limit},
          {"priority", job.priority},
          {"start", job.start}};
}

nlohmann::ordered_json to_json(const TaskView& view) {
  nlohmann::ordered_json json = {{"task", nullptr},           {"status_file", view.status_file},
                                 {"status", nullptr},         {"problem", view.status_problem},
                                 {"slurm", nullptr},          {"accounting", nullptr},
                                 {"progress_saved", nullptr}, {"standard_error", nullptr}};
  if (view.task) json["task"] = *view.task;
  if (view.status) json["status"] = to_json(*view.status);
  if (view.slurm) json["slurm"] = to_json(*view.slurm);
  if (view.record) {
    json["accounting"] = {{"state", view.record->state}, {"exit_code", view.record->exit_code}};
  }
  if (view.saved) json["progress_saved"] = *view.saved;
  if (!view.standard_error.empty()) json["standard_error"] = view.standard_error;
  return json;
}

}  // namespace

std::string status_text(const JobView& view, std::int64_t now) {
  return view.is_array ? array_text(view, now) : single_text(view, now);
}

nlohmann::ordered_json status_json(const JobView& view) {
  nlohmann::ordered_json json = {{"folder", view.folder},
                                 {"slurm_problem", view.slurm_problem},
                                 {"tasks", nlohmann::ordered_json::array()}};
  for (const TaskView& task : view.tasks) json["tasks"].push_back(to_json(task));
  if (view.collecting) json["collecting"] = to_json(*view.collecting);
  return json;
}

}  // namespace fp8cal
