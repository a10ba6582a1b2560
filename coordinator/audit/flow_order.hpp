#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

namespace fp8cal {

/// Where a module stands in the order in which data flow through a model. What is no module of a
/// layer comes last.
struct ModuleOrder {
  std::size_t layer = 0;
  std::size_t part = 0;  ///< of the layer, as computed: q, k and v, o, gate, up, down
  std::string name;

  friend auto operator<=>(const ModuleOrder&, const ModuleOrder&) = default;
};

/// module: "model.layers.N.", then a linear module, or keys, values or attention.
ModuleOrder module_order(std::string_view module);

/// Where an object of a result stands: job, tokens, weights, activations by layer, scales and
/// diagnostics by recipe and layer, perplexity with bf16 first.
struct FlowOrder {
  std::size_t section = 0;
  std::string group;  ///< recipe or variant; empty for bf16
  ModuleOrder module;
  std::string path;

  friend auto operator<=>(const FlowOrder&, const FlowOrder&) = default;
};

/// path: in a result file.
FlowOrder flow_order(std::string_view path);

}  // namespace fp8cal
