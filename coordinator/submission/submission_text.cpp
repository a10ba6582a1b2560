#include "coordinator/submission/submission_text.hpp"

#include <fmt/format.h>

#include "coordinator/submission/slurm_time.hpp"
#include "jobs/byte_size.hpp"

namespace fp8cal {
namespace {

std::string plural(std::size_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string array_text(const BatchJob& batch) {
  if (!batch.is_array()) return "";
  std::string keys;
  for (const SweepKey& key : batch.sweep.keys()) {
    keys += fmt::format("{}{} ({})", keys.empty() ? "" : " x ", key.key,
                        plural(key.values.size(), "value"));
  }
  return fmt::format("array       {}: {}; below, the most that one of them needs\n",
                     plural(batch.tasks.size(), "task"), keys);
}

std::string rough_duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

/// A job that is stopped at its time limit goes on from where it was, once more.
std::string time_text(const Forecast& forecast, const BatchRequest& request,
                      const SiteConfig& site) {
  const std::string limit = request.time.empty() ? "no --time given" : "--time " + request.time;
  if (!forecast.seconds) return fmt::format("time        no estimate on CPUs; {}\n", limit);
  std::string text = fmt::format(
      "time        about {} of computing and reading ({:g} TFLOP/s a GPU, {:g} GB/s a node); {}\n",
      rough_duration(*forecast.seconds), site.gpu_tflops, kFileRate / 1e9, limit);
  const auto seconds = parse_slurm_time(request.time);
  if (seconds && *forecast.seconds + site.warning > static_cast<double>(*seconds)) {
    text += fmt::format(
        "            that is more than the limit allows: the job will save its progress and be "
        "queued again, up to {}\n",
        plural(static_cast<std::size_t>(site.retries), "time"));
  }
  return text;
}

std::string range_of_tasks(const BatchJob& batch, std::filesystem::path BatchTask::*path) {
  const std::string first = (batch.tasks.front().*path).string();
  return batch.tasks.size() == 1 ? first : first + " to " + (batch.tasks.back().*path).string();
}

std::string writes_text(const BatchJob& batch, const Forecast& forecast) {
  const char* each = batch.is_array() ? " each" : "";
  if (!batch.rerun.empty()) {
    return fmt::format(
        "compares    {}, run again\nwrites      {} (up to {}, until it is compared)\n",
        batch.rerun.string(), range_of_tasks(batch, &BatchTask::progress),
        format_byte_size(forecast.progress_bytes));
  }
  if (!batch.writes.empty()) {
    return fmt::format("writes      {} (results of about {} each)\n            {}\n",
                       batch.writes.string(), format_byte_size(forecast.result_bytes),
                       batch.tasks.front().result.string());
  }
  std::string text =
      fmt::format("writes      {} (about {}{})\n", range_of_tasks(batch, &BatchTask::result),
                  format_byte_size(forecast.result_bytes), each);
  if (forecast.checkpoint_bytes > 0) {
    text +=
        fmt::format("            {} (about {}{})\n", range_of_tasks(batch, &BatchTask::checkpoint),
                    format_byte_size(forecast.checkpoint_bytes), each);
  }
  return text + fmt::format("            {} (up to {}{}, until the result is there)\n",
                            range_of_tasks(batch, &BatchTask::progress),
                            format_byte_size(forecast.progress_bytes), each);
}

}  // namespace

std::string shape_text(const Shape& shape) {
  return fmt::format("{} x {}", plural(static_cast<std::size_t>(shape.nodes), "node"),
                     plural(static_cast<std::size_t>(shape.ranks_per_node), "rank"));
}

std::string describe_submission(const BatchJob& batch, const Forecast& forecast,
                                const BatchRequest& request, const SiteConfig& site) {
  const Plan& plan = forecast.plan;
  std::string text = array_text(batch);
  text += fmt::format("partition   {} on {}: {}\n", plan.grid.to_string(),
                      shape_text({request.nodes, request.ranks_per_node}), plan.reason);
  text += fmt::format("memory      {} of {} a rank, {} of host memory a node\n",
                      format_byte_size(plan.memory.total()), format_byte_size(forecast.budget),
                      format_byte_size(request.memory));
  return text + time_text(forecast, request, site) + writes_text(batch, forecast);
}

std::string describe_submitted(const BatchJob& batch, const Shape& shape, const std::string& job,
                               const std::optional<std::string>& collecting) {
  const std::string output = (batch.run_folder / ("slurm-" + job)).string();
  std::string text =
      fmt::format("submitted job {} ({}{})\nfollow  fp8cal status {}\noutput  {}{}.out\n", job,
                  batch.is_array() ? plural(batch.tasks.size(), "task") + " of " : "",
                  shape_text(shape), job, output, batch.is_array() ? "_<task>" : "");
  if (!batch.rerun.empty()) {
    return text + "verdict in that output, and in Slurm's exit code: 0 equal, 4 a difference\n";
  }
  text += batch.writes.empty()
              ? fmt::format("result  {}\n", range_of_tasks(batch, &BatchTask::result))
              : fmt::format("study   {}\n", batch.tasks.front().result.string());
  if (!collecting) return text;
  return text + fmt::format("collect job {}, when all tasks have ended\ntable   {}\n", *collecting,
                            (batch.run_folder / "collected.txt").string());
}

}  // namespace fp8cal
