#include "coordinator/status/sweep_results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coordinator/status/job_status.hpp"
#include "coordinator/status/printable.hpp"
#include "jobs/error.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {
namespace {

using Row = std::vector<std::string>;

constexpr std::size_t kShortDigest = 12;

/// The task's state and message; whether there should be a result.
bool read_state(TaskResult& task) {
  std::error_code ignored;
  if (!std::filesystem::exists(task.task.status, ignored)) {
    task.state = std::filesystem::exists(task.task.result, ignored) ? "done" : "missing";
    if (task.state == "missing") task.message = "not started";
    return task.state == "done";
  }
  const JobStatus status = read_status(task.task.status);
  task.state = status.state;
  task.message = status.message;
  task.digest = status.digest.value_or("");
  return status.state == "done" || status.state == "gate_failed";
}

Row beginning(const TaskResult& task) {
  Row row = {fmt::to_string(task.task.task)};
  row.insert(row.end(), task.task.values.begin(), task.task.values.end());
  return row;
}

std::string state_text(const TaskResult& task) {
  return task.message.empty() ? task.state : task.state + ": " + task.message;
}

template <class Format>
std::string or_dash(const std::optional<double>& figure, const Format& format) {
  return figure ? fmt::format(fmt::runtime(format), *figure) : "-";
}

Row short_row(const TaskResult& task, const RecipeFigures& one) {
  Row row = beginning(task);
  const std::string interval =
      one.has_interval
          ? fmt::format("{:+.4f} to {:+.4f}", one.difference->low, one.difference->high)
          : "-";
  const auto& difference = one.difference;
  row.insert(row.end(),
             {one.recipe, or_dash(one.bf16, "{:.4f}"), fmt::format("{:.4f}", one.perplexity),
              difference ? fmt::format("{:+.4f}", difference->difference) : "-", interval,
              or_dash(one.mean_kl, "{:.5f}"), task.digest.substr(0, kShortDigest),
              difference ? one.verdict : "-"});
  return row;
}

Row protocol_cells(const Protocol& protocol) {
  const auto count = [](std::size_t number) { return fmt::to_string(number); };
  return {protocol.calibration_dataset,  count(protocol.samples),
          count(protocol.sample_length), protocol.seed ? fmt::to_string(*protocol.seed) : "",
          protocol.evaluation_dataset,   count(protocol.windows),
          count(protocol.window_length)};
}

Row full_row(const TaskResult& task, const RecipeFigures& one) {
  const auto text = [](bool there, double figure) { return there ? fmt::to_string(figure) : ""; };
  const PerplexityDifference difference = one.difference.value_or(PerplexityDifference{});
  Row row = beginning(task);
  row.insert(
      row.end(),
      {one.recipe, text(one.bf16.has_value(), one.bf16.value_or(0)), fmt::to_string(one.perplexity),
       text(one.difference.has_value(), difference.difference),
       text(one.has_interval, difference.low), text(one.has_interval, difference.high),
       text(one.mean_kl.has_value(), one.mean_kl.value_or(0)), one.verdict});
  const Row protocol = protocol_cells(task.protocol);
  row.insert(row.end(), protocol.begin(), protocol.end());
  row.insert(row.end(), {task.digest, task.state, task.message});
  return row;
}

Row header(const std::vector<std::string>& keys, const std::vector<std::string>& figures) {
  Row row = {"task"};
  row.insert(row.end(), keys.begin(), keys.end());
  row.insert(row.end(), figures.begin(), figures.end());
  return row;
}

}  // namespace

TaskResult read_task_result(const SweepTask& task) {
  TaskResult read{.task = task};
  try {
    if (!read_state(read)) return read;
    const std::string told = std::exchange(read.digest, "");
    const StoredResult stored = read_result(task.result);
    if (!told.empty() && told != stored.digest) {
      throw InputError(task.result, "content digest", told, stored.digest);
    }
    read.recipes = recipe_figures(stored.result);
    read.digest = stored.digest;
    read.protocol = protocol_of(stored.result);
  } catch (const Error& error) {
    read.message = error.what();
    if (read.state.empty()) read.state = "unknown";
  }
  return read;
}

TextTable short_table(const std::vector<std::string>& keys, const std::vector<TaskResult>& tasks) {
  TextTable table;
  table.header = header(keys, {"recipe", "BF16", "perplexity", "difference", "95 % interval",
                               "mean KL", "digest", "verdict"});
  for (const TaskResult& task : tasks) {
    for (const RecipeFigures& one : task.recipes) table.rows.push_back(short_row(task, one));
    if (!task.recipes.empty()) continue;
    table.rows.push_back(beginning(task));
    table.rows.back().push_back(state_text(task));
  }
  return table;
}

TextTable full_table(const std::vector<std::string>& keys, const std::vector<TaskResult>& tasks) {
  TextTable table;
  table.header =
      header(keys, {"recipe", "perplexity_bf16", "perplexity", "difference", "difference_low",
                    "difference_high", "mean_kl", "verdict", "calibration_dataset",
                    "calibration_samples", "calibration_sequence_length", "calibration_seed",
                    "evaluation_dataset", "evaluation_windows", "evaluation_sequence_length",
                    "content_digest", "state", "message"});
  for (const TaskResult& task : tasks) {
    for (const RecipeFigures& one : task.recipes) table.rows.push_back(full_row(task, one));
    if (!task.recipes.empty()) continue;
    table.rows.push_back(beginning(task));
    table.rows.back().resize(table.header.size());
    table.rows.back().end()[-2] = task.state;
    table.rows.back().back() = task.message;
  }
  return table;
}

std::string protocol_lines(const std::vector<TaskResult>& tasks) {
  std::string lines;
  for (const TaskResult& task : tasks) {
    if (task.recipes.empty()) continue;
    lines += fmt::format("{}task {}: {}\n", lines.empty() ? "\n" : "", task.task.task,
                         printable(text_of(task.protocol)));
  }
  return lines;
}

std::string missing_text(const std::vector<TaskResult>& tasks) {
  const auto is_missing = [](const TaskResult& one) { return one.recipes.empty(); };
  const auto count = std::ranges::count_if(tasks, is_missing);
  if (count == 0) return "";
  const TaskResult& first = *std::ranges::find_if(tasks, is_missing);
  return fmt::format("{} of {} tasks {} no result: task {}: {}", count, tasks.size(),
                     count == 1 ? "has" : "have", first.task.task, printable(state_text(first)));
}

}  // namespace fp8cal
