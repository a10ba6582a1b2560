#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "jobs/statistics.hpp"

namespace fp8cal {

/// How far a tensor's amax still grew over the last doubling of the calibration.
struct Convergence {
  double growth = 0;  ///< final amax / amax after half the sequences or fewer - 1; may be infinite

  bool converged() const { return growth <= 0.05; }
};

/// snapshots: by ascending sequences. amax: after all `sequences`. Against the last snapshot after
/// at most half of them; nothing where there is none.
std::optional<Convergence> convergence_of(std::span<const AmaxSnapshot> snapshots, float amax,
                                          std::uint32_t sequences);

}  // namespace fp8cal
