#include "coordinator/scales/magnitude_sums.hpp"

#include <algorithm>

#include "coordinator/scales/fp8_codes.hpp"

namespace fp8cal {

std::vector<MagnitudeSums> sums_below(const std::vector<std::uint64_t>& histogram) {
  std::vector<MagnitudeSums> below{MagnitudeSums{}};
  below.reserve(Fp8Codes::kBins + 1);
  MagnitudeSums sums;
  for (std::size_t b = 0; b < Fp8Codes::kBins; ++b) {
    if (b < histogram.size() && histogram[b] != 0) {
      const double count = static_cast<double>(histogram[b]);
      const double magnitude = bf16_to_float(static_cast<bf16_bits>(b));
      sums.elements += histogram[b];
      sums.magnitudes += 1;
      sums.first_moment += count * magnitude;
      sums.second_moment += count * magnitude * magnitude;
    }
    below.push_back(sums);
  }
  return below;
}

}  // namespace fp8cal
