#include "coordinator/profile/repeated_runs.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

double seconds_of(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  run();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Of each run the slowest rank's, on rank 0.
std::vector<double> slowest(const Control& control, const std::vector<double>& own) {
  std::string bytes;
  for (const double seconds : own) pack(bytes, seconds);
  std::vector<double> most(own.size());
  for (const std::string& from : control.gather(bytes)) {
    Unpacker unpacker(from);
    for (double& seconds : most) {
      double one = 0;
      unpacker.take(one);
      seconds = std::max(seconds, one);
    }
  }
  return most;
}

}  // namespace

Latency time_runs(const Control& control, const Repeats& repeats,
                  const std::function<void()>& prepare, const std::function<void()>& run) {
  std::vector<double> own;
  const auto once = [&] {
    prepare();
    control.max(0);  // all ranks begin together
    return seconds_of(run);
  };
  for (std::size_t i = 0; i < repeats.warm_ups; ++i) once();
  own.push_back(once());
  const auto microseconds = static_cast<std::int64_t>(std::ceil(own.front() * 1e6)) + 1;
  const double first = static_cast<double>(control.max(microseconds)) / 1e6;
  const auto enough = static_cast<std::size_t>(repeats.seconds / first);
  const std::size_t runs = std::clamp(enough, repeats.fewest, repeats.most);
  while (own.size() < runs) own.push_back(once());
  own = slowest(control, own);
  return latency_of(std::move(own));
}

Latency latency_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  const double median = (seconds[(n - 1) / 2] + seconds[n / 2]) / 2;
  const std::size_t rank = (95 * n + 99) / 100;  // counted from 1
  return {.median = median, .p95 = seconds[rank - 1], .runs = n};
}

}  // namespace fp8cal
