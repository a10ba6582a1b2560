#include "worker/workspace.hpp"

#include <algorithm>

#include "sharding/grid.hpp"

namespace fp8cal {

Workspace::Workspace(Backend& backend, const ModelConfig& config, std::size_t max_tokens,
                     int slices)
    : config_(config) {
  const std::size_t parts = static_cast<std::size_t>(slices);
  const std::size_t widest =
      std::max({config.hidden_size, config.q_rows(), config.intermediate_size});
  const std::size_t inputs =
      std::max(config.q_rows() + 2 * config.kv_rows(), 2 * config.intermediate_size) / parts;
  const std::size_t vocabulary = vocabulary_slices(config.vocab_size);
  const std::size_t partials = max_tokens * vocabulary * 3 * sizeof(float);
  const auto bf16 = [&](std::size_t cols) { return backend.allocate(max_tokens * cols * 2); };
  normed_ = bf16(config.hidden_size);
  delta_ = bf16(config.hidden_size);
  wide_ = bf16(widest);
  own_inputs_ = bf16(inputs);
  if (slices > 1) {
    own_result_ = bf16(widest / parts);
    gathered_ = bf16(widest);
    own_partials_ = backend.allocate(partials / parts);
  }
  quantized_ = backend.allocate(max_tokens * widest);
  token_scales_ = backend.allocate(max_tokens * sizeof(float));
  logits_ = bf16(config.vocab_size / vocabulary);
  partials_ = backend.allocate(partials);
}

}  // namespace fp8cal
