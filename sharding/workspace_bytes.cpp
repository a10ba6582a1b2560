#include "sharding/workspace_bytes.hpp"

#include <algorithm>

#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/grid.hpp"

namespace fp8cal {

int lanes_of(std::size_t sequences, int slices) {
  return slices > 1 && sequences >= kGatherLanes ? kGatherLanes : 1;
}

WorkspaceBytes workspace_bytes(const ModelConfig& config, std::size_t tokens, int slices,
                               bool compares) {
  const std::size_t parts = static_cast<std::size_t>(slices);
  const std::size_t widest =
      std::max({config.hidden_size, config.q_rows(), config.intermediate_size});
  const std::size_t inputs =
      std::max(config.q_rows() + 2 * config.kv_rows(), 2 * config.intermediate_size) / parts;
  const std::size_t vocabulary = vocabulary_slices(config.vocab_size);
  const std::size_t partials = tokens * vocabulary * 3 * sizeof(float);
  const auto bf16 = [&](std::size_t cols) { return tokens * cols * 2; };
  WorkspaceBytes bytes;
  bytes.normed = bf16(config.hidden_size);
  bytes.wide = bf16(widest);
  bytes.own_inputs = bf16(inputs);
  bytes.quantized = tokens * widest;
  bytes.token_scales = tokens * sizeof(float);
  bytes.logits = bf16(config.vocab_size / vocabulary);
  bytes.partials = partials;
  if (slices == 1) {
    bytes.delta = bf16(config.hidden_size);
  } else {
    bytes.own_result = bf16(widest / parts);
    bytes.gathered = bf16(widest);
    bytes.own_partials = partials / parts;
  }
  if (compares) {
    bytes.reference_normed = bytes.normed;
    bytes.reference_logits = bytes.logits;
    bytes.comparison = tokens * vocabulary * sizeof(ComparisonPartial);
    if (slices > 1) bytes.own_comparison = bytes.comparison / parts;
  }
  return bytes;
}

}  // namespace fp8cal
