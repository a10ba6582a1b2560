#pragma once

#include <cstdint>
#include <vector>

namespace fp8cal {

/// Sums over the elements of a tensor whose magnitude is below one.
struct MagnitudeSums {
  std::uint64_t elements = 0;
  std::uint64_t magnitudes = 0;  ///< different ones that occur
  double first_moment = 0;       ///< of the magnitudes
  double second_moment = 0;
};

/// histogram [32768]: bin b counts the elements whose low 15 BF16 bits are b; none of them is
/// infinite or NaN. Returns [Fp8Codes::kBins + 1]: entry b is of the bins below b, added upwards.
std::vector<MagnitudeSums> sums_below(const std::vector<std::uint64_t>& histogram);

}  // namespace fp8cal
