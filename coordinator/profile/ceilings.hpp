#pragma once

#include <cstdint>

#include "jobs/latency_profile.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// How large the operands are that ceilings are measured with.
struct CeilingSizes {
  std::uint64_t read_bytes = 0;
  std::size_t product = 0;         ///< rows and columns of each matrix
  std::uint64_t gather_bytes = 0;  ///< that a rank sends
  std::size_t runs = 0;            ///< of which the best counts

  /// Device memory that they take at most.
  std::uint64_t bytes(int ranks) const;
};

/// So large that a device's caches and launches do not matter, in at most a quarter of `budget`.
CeilingSizes ceiling_sizes(const Backend& backend, std::uint64_t budget);

/// What the device does at most, each the best of several runs on the device's own clock, as seen
/// from this rank. Collective over the slices.
Ceilings measure_ceilings(Backend& backend, Collectives& slices, const CeilingSizes& sizes);

}  // namespace fp8cal
