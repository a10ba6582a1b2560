#pragma once

#include <span>
#include <vector>

#include "kernels/backend.hpp"
#include "worker/shard_target.hpp"

namespace fp8cal {

/// The amax of each row of each of `weights`, which have arrived. Throws InputError, naming tensor
/// and row, where one holds an infinity or NaN.
std::vector<std::vector<float>> row_maxima(Backend& backend, std::span<const ShardTarget> weights);

}  // namespace fp8cal
