#include "jobs/statistics.hpp"

#include "kernels/float_formats.hpp"

namespace fp8cal {

float amax_of_histogram(const std::vector<std::uint64_t>& histogram) {
  for (std::size_t bin = histogram.size(); bin-- > 0;) {
    if (histogram[bin] != 0) return bf16_to_float(static_cast<bf16_bits>(bin));
  }
  return 0.0f;
}

}  // namespace fp8cal
