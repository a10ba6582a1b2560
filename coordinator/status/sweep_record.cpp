#include "coordinator/status/sweep_record.hpp"

#include <fmt/format.h>

#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxTask = 4'000'000;  // Slurm's highest array index is below

std::vector<std::string> strings(const json& object, const char* key, const std::string& where) {
  std::vector<std::string> all;
  for (const json& one : require_array(object, key, where)) {
    if (!one.is_string()) throw InputError(where, key, "strings", shown(one));
    all.push_back(one.get<std::string>());
  }
  return all;
}

std::string absolute_path(const json& object, const char* key, const std::string& where) {
  const std::string& path = require_string(object, key, where);
  if (path.starts_with('/')) return path;
  throw InputError(where, key, "an absolute path", in_quotes(path));
}

SweepTask read_task(const json& object, std::size_t keys, const std::string& where) {
  SweepTask task;
  task.task = require_unsigned(object, "task", where, 0, kMaxTask);
  task.values = strings(object, "values", where);
  if (task.values.size() != keys) {
    throw InputError(where, fmt::format("values of task {}", task.task),
                     fmt::format("{}, as there are keys", keys),
                     fmt::to_string(task.values.size()));
  }
  task.result = absolute_path(object, "result", where);
  task.status = absolute_path(object, "status", where);
  return task;
}

}  // namespace

SweepRecord read_sweep(const std::filesystem::path& file) {
  const json object = read_json_file(file, kMaxBytes);
  const std::string where = file.string();
  require_format(object, "fp8cal-sweep", where);
  SweepRecord sweep;
  sweep.job = absolute_path(object, "job", where);
  sweep.keys = strings(object, "keys", where);
  for (const json& one : require_array(object, "tasks", where)) {
    SweepTask task = read_task(one, sweep.keys.size(), where);
    if (!sweep.tasks.empty() && task.task <= sweep.tasks.back().task) {
      throw InputError(where, "tasks", "rising numbers",
                       fmt::format("{} after {}", task.task, sweep.tasks.back().task));
    }
    sweep.tasks.push_back(std::move(task));
  }
  if (sweep.tasks.empty()) throw InputError(where, "tasks", "one or more", "none");
  return sweep;
}

}  // namespace fp8cal
