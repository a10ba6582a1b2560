#include "coordinator/scales/convergence.hpp"

#include <algorithm>

namespace fp8cal {

std::optional<Convergence> convergence_of(std::span<const AmaxSnapshot> snapshots, float amax,
                                          std::uint32_t sequences) {
  const auto later =
      std::ranges::upper_bound(snapshots, sequences / 2, {}, &AmaxSnapshot::sequences);
  if (later == snapshots.begin()) return std::nullopt;
  const double before = (later - 1)->amax;
  const double after = amax;
  return Convergence{.growth = after == before ? 0 : (after - before) / before};
}

}  // namespace fp8cal
