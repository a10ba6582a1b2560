#pragma once

#include <cstdint>

#include "jobs/latency_profile.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// What this rank's device does at most, by the project's own kernels on operands far larger than
/// its caches, within `most` bytes of device memory: the best of several runs. Collective.
Ceilings measure_ceilings(Backend& backend, Collectives& slices, std::uint64_t most);

}  // namespace fp8cal
