#include "coordinator/report/magnitude_bins.hpp"

#include "kernels/float_formats.hpp"

namespace fp8cal {
MagnitudeBins magnitude_bins(const std::vector<std::uint64_t>& histogram) {
  std::vector<std::uint64_t> all(histogram.size() / kMagnitudesABin, 0);
  for (std::size_t bits = 1; bits < histogram.size(); ++bits)
    all[bits / kMagnitudesABin] += histogram[bits];
  MagnitudeBins bins;
  bins.zeros = histogram.front();
  std::size_t end = all.size();
  while (end > 0 && all[end - 1] == 0) --end;
  while (bins.first < end && all[bins.first] == 0) ++bins.first;
  bins.counts.assign(all.begin() + static_cast<std::ptrdiff_t>(bins.first),
                     all.begin() + static_cast<std::ptrdiff_t>(end));
  return bins;
}

float bin_begin(std::size_t bin) {
  return bf16_to_float(static_cast<bf16_bits>(bin * kMagnitudesABin));
}

double bin_position(std::size_t bits) {
  return static_cast<double>(bits) / static_cast<double>(kMagnitudesABin);
}

}  // namespace fp8cal
