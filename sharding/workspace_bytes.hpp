#pragma once

#include <cstddef>
#include <cstdint>

#include "jobs/model_config.hpp"

namespace fp8cal {

/// Lanes that a microbatch is cut into, so that one computes while another is gathered: two where
/// slices exchange activations and there are two sequences or more.
int lanes_of(std::size_t sequences, int slices);

/// Bytes of each buffer of worker/workspace.hpp, for one lane.
struct WorkspaceBytes {
  std::uint64_t normed = 0, delta = 0, wide = 0;
  std::uint64_t own_inputs = 0, own_result = 0, gathered = 0;
  std::uint64_t quantized = 0, token_scales = 0;
  std::uint64_t logits = 0, own_partials = 0, partials = 0;
  std::uint64_t reference_normed = 0, reference_logits = 0, own_comparison = 0, comparison = 0;

  std::uint64_t total() const {
    return normed + delta + wide + own_inputs + own_result + gathered + quantized + token_scales +
           logits + own_partials + partials + reference_normed + reference_logits + own_comparison +
           comparison;
  }
};

/// tokens: of one lane of a microbatch. slices: that each weight is cut into. compares: predictions
/// with those of another pass.
WorkspaceBytes workspace_bytes(const ModelConfig& config, std::size_t tokens, int slices,
                               bool compares);

}  // namespace fp8cal
