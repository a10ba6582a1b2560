#include "coordinator/profile/repeated_runs.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <string>

#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

using Clock = std::chrono::steady_clock;

/// Run by run the longest of any rank, on rank 0.
std::vector<double> slowest(const Control& control, const std::vector<double>& own) {
  std::string bytes;
  pack(bytes, own);
  std::vector<double> longest;
  for (const std::string& from : control.gather(bytes)) {
    std::vector<double> seconds;
    Unpacker(from).take(seconds);
    longest.resize(seconds.size());
    for (std::size_t i = 0; i < seconds.size(); ++i) longest[i] = std::max(longest[i], seconds[i]);
  }
  return longest;
}

}  // namespace

double seconds_of(const std::function<void()>& work) {
  const Clock::time_point begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::vector<double> repeat_runs(const Control& control, const Repetition& repetition,
                                const std::function<void()>& prepare,
                                const std::function<std::vector<double>()>& run) {
  const auto agreed = [&](bool wants) { return control.broadcast(wants ? "more" : "") != ""; };
  double spent = 0;
  const auto measured_run = [&] {
    std::vector<double> seconds = run();
    spent = std::accumulate(seconds.begin(), seconds.end(), spent);
    return seconds;
  };
  for (std::size_t i = 0; i < repetition.warm_up; ++i) {
    prepare();
    if (!agreed(spent < repetition.seconds)) break;
    measured_run();
  }
  std::vector<double> own;
  spent = 0;
  const auto wants_more = [&] {
    if (own.size() < kFewest) return own.size() < repetition.most;
    if (own.size() < repetition.least) return spent < repetition.most_seconds;
    return own.size() < repetition.most && spent < repetition.seconds;
  };
  for (;;) {
    prepare();
    if (!agreed(wants_more())) break;
    const std::vector<double> seconds = measured_run();
    own.insert(own.end(), seconds.begin(), seconds.end());
  }
  return slowest(control, own);
}

}  // namespace fp8cal
