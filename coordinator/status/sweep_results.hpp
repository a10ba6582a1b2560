#pragma once

#include <string>
#include <vector>

#include "coordinator/protocol/protocol.hpp"
#include "coordinator/recipe_figures.hpp"
#include "coordinator/status/sweep_record.hpp"
#include "coordinator/status/text_table.hpp"

namespace fp8cal {

/// What came of one task of a sweep.
struct TaskResult {
  SweepTask task;
  std::string state = {};    ///< of its JobStatus; "missing" where there is none and no result
  std::string message = {};  ///< why there is no result
  std::string digest = {};   ///< content digest; empty: no result
  std::vector<RecipeFigures> recipes = {};
  Protocol protocol = {};  ///< where there is a result
};

/// Reads the task's status and, if it is done, its result as read_result does. What is wrong with
/// them is told as the message.
TaskResult read_task_result(const SweepTask& task);

/// A row a recipe of each task, one for a task without a result. The first one is for a terminal,
/// the second one has all digits and a column for each figure.
TextTable short_table(const std::vector<std::string>& keys, const std::vector<TaskResult>& tasks);
TextTable full_table(const std::vector<std::string>& keys, const std::vector<TaskResult>& tasks);

/// An empty line, then "task 0: calibrated on ..." for each task with a result; nothing where there
/// is none.
std::string protocol_lines(const std::vector<TaskResult>& tasks);

/// "1 of 4 tasks has no result: task 2: failed: ..."; empty where all have one.
std::string missing_text(const std::vector<TaskResult>& tasks);

}  // namespace fp8cal
