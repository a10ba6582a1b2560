#include "coordinator/profile/repeated_runs.hpp"

#include <algorithm>
#include <chrono>
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

std::vector<double> time_runs(const Control& control, const Repetition& repetition,
                              const std::function<void()>& prepare,
                              const std::function<void()>& run) {
  for (std::size_t i = 0; i < repetition.warm_up; ++i) {
    prepare();
    run();
  }
  std::vector<double> own;
  double spent = 0;
  const auto goes_on = [&] {
    const bool wants = own.size() < repetition.least ||
                       (own.size() < repetition.most && spent < repetition.seconds);
    return control.broadcast(wants ? "more" : "") != "";
  };
  for (;;) {
    prepare();
    if (!goes_on()) break;
    const Clock::time_point begin = Clock::now();
    run();
    own.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    spent += own.back();
  }
  return slowest(control, own);
}

}  // namespace fp8cal
