#include "worker/workspace.hpp"

#include "sharding/workspace_bytes.hpp"

namespace fp8cal {

Workspace::Workspace(Backend& backend, const ModelConfig& config, std::size_t max_tokens,
                     int slices)
    : config_(config) {
  const WorkspaceBytes bytes = workspace_bytes(config, max_tokens, slices);
  normed_ = backend.allocate(bytes.normed);
  delta_ = backend.allocate(bytes.delta);
  wide_ = backend.allocate(bytes.wide);
  own_inputs_ = backend.allocate(bytes.own_inputs);
  own_result_ = backend.allocate(bytes.own_result);
  gathered_ = backend.allocate(bytes.gathered);
  quantized_ = backend.allocate(bytes.quantized);
  token_scales_ = backend.allocate(bytes.token_scales);
  logits_ = backend.allocate(bytes.logits);
  own_partials_ = backend.allocate(bytes.own_partials);
  partials_ = backend.allocate(bytes.partials);
}

}  // namespace fp8cal
