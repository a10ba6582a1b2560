#include "coordinator/profile/latency_statistics.hpp"

#include <algorithm>

namespace fp8cal {

Latency latency_of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t runs = seconds.size();
  const std::size_t most = (95 * runs + 99) / 100;  // runs that do not exceed the percentile
  return {.median = (seconds.at((runs - 1) / 2) + seconds.at(runs / 2)) / 2,
          .p95 = seconds.at(most - 1),
          .runs = runs};
}

}  // namespace fp8cal
