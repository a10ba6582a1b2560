#include "coordinator/status/slurm_jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>

#include "coordinator/child_process.hpp"
#include "coordinator/submission/text_checks.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

constexpr std::chrono::seconds kLimit{30};  // a controller that does not answer is not waited for

/// A column of `squeue -O`: values are cut to the width, in bytes, and padded with blanks.
struct Column {
  const char* field;
  std::size_t width;
  std::string SlurmJob::*member;
};

constexpr std::array kColumns = {
    Column{"ArrayJobID", 24, &SlurmJob::id},  // the job's own where it is no array
    Column{"ArrayTaskID", 24, &SlurmJob::array_task},
    Column{"State", 24, &SlurmJob::state},
    Column{"Reason", 128, &SlurmJob::reason},
    Column{"RestartCnt", 16, &SlurmJob::restarts},
    Column{"TimeLeft", 24, &SlurmJob::time_left},
    Column{"TimeLimit", 24, &SlurmJob::time_limit},
    Column{"PriorityLong", 24, &SlurmJob::priority},
    Column{"StartTime", 32, &SlurmJob::start},
    Column{"Name", 256, &SlurmJob::name},
    Column{"Comment", 4608, &SlurmJob::comment},  // a path of any length
    // Last, as squeue does not cut a list of nodes.
    Column{"NodeList", 16, &SlurmJob::nodes},
};

std::string format_option() {
  std::string text;
  for (const Column& column : kColumns) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", column.field, column.width);
  }
  return text;
}

SlurmJob parse_line(std::string_view line) {
  SlurmJob job;
  for (const Column& column : kColumns) {
    const bool last = &column == &kColumns.back();
    job.*column.member = trimmed(line.substr(0, last ? line.npos : column.width));
    line.remove_prefix(std::min(column.width, line.size()));
  }
  std::uint64_t task = 0;
  const char* end = job.array_task.data() + job.array_task.size();
  const auto [last, error] = std::from_chars(job.array_task.data(), end, task);
  if (error == std::errc() && last == end) {
    job.task = task;
    job.id += "_" + job.array_task;
  }
  return job;
}

}  // namespace

std::vector<SlurmJob> parse_squeue(const std::string& text) {
  std::vector<SlurmJob> jobs;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    SlurmJob job = parse_line(line);
    if (!job.id.empty()) jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<SlurmJob> ask_squeue(const std::vector<std::string>& options) {
  std::vector<std::string> words = {"squeue", "-h", "-r", "-O", format_option()};
  words.insert(words.end(), options.begin(), options.end());
  const Finished answer = run_program(words, current_environment(), kLimit);
  if (answer.status == 0) return parse_squeue(answer.output);
  throw Error(ExitCode::failed,
              fmt::format("squeue: exit code {}: {}", answer.status, first_line(answer.errors)));
}

std::optional<SlurmRecord> ask_sacct(const std::string& id) {
  try {
    const Finished answer =
        run_program({"sacct", "-n", "-P", "-X", "-j", id, "-o", "State,ExitCode,Comment"},
                    current_environment(), kLimit);
    const std::string line = answer.output.substr(0, answer.output.find('\n'));
    if (answer.status != 0 || line.empty()) return std::nullopt;
    std::istringstream parts(line);
    SlurmRecord record;
    std::getline(parts, record.state, '|');
    std::getline(parts, record.exit_code, '|');
    std::getline(parts, record.comment);
    return record;
  } catch (const Error&) {
    return std::nullopt;  // many clusters have no accounting
  }
}

bool is_slurm_id(const std::string& text) {
  constexpr std::size_t kMaxDigits = 10;
  const std::size_t bar = std::min(text.find('_'), text.size());
  const auto is_number = [](std::string_view part) {
    return !part.empty() && part.size() <= kMaxDigits &&
           std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
  };
  const std::string_view whole = text;
  return is_number(whole.substr(0, bar)) &&
         (bar == whole.size() || is_number(whole.substr(bar + 1)));
}

bool has_ended(const std::string& state) {
  constexpr std::array kAlive = {"PENDING",      "RUNNING",      "SUSPENDED",    "COMPLETING",
                                 "CONFIGURING",  "REQUEUED",     "REQUEUE_HOLD", "REQUEUE_FED",
                                 "SPECIAL_EXIT", "STAGE_OUT",    "SIGNALING",    "STOPPED",
                                 "RESIZING",     "RESV_DEL_HOLD"};
  return std::ranges::find(kAlive, state) == kAlive.end();
}

}  // namespace fp8cal
