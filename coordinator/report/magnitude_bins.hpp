#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fp8cal {

inline constexpr std::size_t kBinsAnOctave = 4;
inline constexpr std::size_t kMagnitudesABin = 128 / kBinsAnOctave;  ///< BF16 numbers

/// An exact histogram, coarser: each power of two is cut into equal parts.
struct MagnitudeBins {
  std::size_t first = 0;                   ///< bins are counted from magnitude 0 on
  std::vector<std::uint64_t> counts = {};  ///< from the first that is not empty to the last
  std::uint64_t zeros = 0;                 ///< not among `counts`

  std::size_t end() const { return first + counts.size(); }
};

/// histogram [32768]: bin b counts the elements whose low 15 BF16 bits are b.
MagnitudeBins magnitude_bins(const std::vector<std::uint64_t>& histogram);

/// The smallest magnitude of a bin.
float bin_begin(std::size_t bin);

/// Where a BF16 magnitude, by its bits, stands among the bins: bin `b` reaches from b to b + 1.
double bin_position(std::size_t bits);

}  // namespace fp8cal
