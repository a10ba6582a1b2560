#include "jobs/statistics.hpp"

#include <algorithm>

#include "kernels/float_formats.hpp"

namespace fp8cal {

float amax_of_histogram(const std::vector<std::uint64_t>& histogram) {
  for (std::size_t bin = histogram.size(); bin-- > 0;) {
    if (histogram[bin] != 0) return bf16_to_float(static_cast<bf16_bits>(bin));
  }
  return 0.0f;
}

std::vector<AmaxSnapshot> snapshots_of(std::span<const float> sequence_amax) {
  std::vector<AmaxSnapshot> snapshots;
  for (const std::uint32_t sequences : {32u, 64u, 128u, 256u, 512u}) {
    if (sequences > sequence_amax.size()) break;
    const auto first = sequence_amax.first(sequences);
    snapshots.push_back({sequences, *std::ranges::max_element(first)});
  }
  return snapshots;
}

}  // namespace fp8cal
