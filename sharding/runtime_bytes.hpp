#pragma once

#include <cstdint>

#include "sharding/grid.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// What CUDA, cuBLASLt and NCCL take of a rank's device for themselves; 0 where it is no GPU.
std::uint64_t runtime_bytes(const Grid& grid, const Device& device);

}  // namespace fp8cal
