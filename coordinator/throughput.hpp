#pragma once

#include <cstddef>
#include <cstdint>

#include "jobs/model_config.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// Elements of the weights of all linear modules of all layers: not of the embedding, norms and
/// lm_head.
std::uint64_t linear_elements(const ModelConfig& config);

/// What one token of a sequence of `length` costs: two operations an element of the linear weights,
/// and causal attention, which meets half of the sequence on average. The embedding and lm_head are
/// not counted.
double flop_per_token(const ModelConfig& config, std::size_t length);

/// Bytes of the weights, in BF16, that the ranks of `plan` load together.
std::uint64_t loaded_bytes(const ModelConfig& config, const Plan& plan);

}  // namespace fp8cal
