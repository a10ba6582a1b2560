#include "worker/workspace.hpp"

namespace fp8cal {

Workspace::Workspace(Backend& backend, const ModelConfig& config, const WorkspaceBytes& bytes)
    : config_(config),
      normed_(backend.allocate(bytes.normed)),
      delta_(backend.allocate(bytes.delta)),
      wide_(backend.allocate(bytes.wide)),
      own_inputs_(backend.allocate(bytes.own_inputs)),
      own_result_(backend.allocate(bytes.own_result)),
      gathered_(backend.allocate(bytes.gathered)),
      quantized_(backend.allocate(bytes.quantized)),
      token_scales_(backend.allocate(bytes.token_scales)),
      logits_(backend.allocate(bytes.logits)),
      own_partials_(backend.allocate(bytes.own_partials)),
      partials_(backend.allocate(bytes.partials)),
      reference_normed_(backend.allocate(bytes.reference_normed)),
      reference_logits_(backend.allocate(bytes.reference_logits)),
      own_comparison_(backend.allocate(bytes.own_comparison)),
      comparison_(backend.allocate(bytes.comparison)) {}

}  // namespace fp8cal
