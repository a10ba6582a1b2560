#include "coordinator/audit/flow_order.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <vector>

namespace fp8cal {
namespace {

constexpr std::string_view kLayers = "model.layers.";
constexpr std::size_t kLast = std::numeric_limits<std::size_t>::max();

constexpr std::array<std::string_view, 10> kParts = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn",   "self_attn.k",
    "self_attn.v",      "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj", "mlp.down_proj"};

constexpr std::array<std::string_view, 7> kSections = {
    "", "job", "weights", "activations", "scales", "diagnostics", "perplexity"};

template <std::size_t n>
std::size_t index_of(const std::array<std::string_view, n>& names, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
}

std::vector<std::string_view> components(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

}  // namespace

ModuleOrder module_order(std::string_view module) {
  ModuleOrder order = {kLast, kLast, std::string(module)};
  if (!module.starts_with(kLayers)) return order;
  const char* end = module.data() + module.size();
  std::size_t layer = 0;
  const auto [rest, error] = std::from_chars(module.data() + kLayers.size(), end, layer);
  if (error != std::errc() || rest == end || *rest != '.') return order;
  order.layer = layer;
  order.part = index_of(kParts, std::string_view(rest + 1, end));
  return order;
}

FlowOrder flow_order(std::string_view path) {
  const std::vector<std::string_view> parts = components(path);
  FlowOrder order;
  order.path = path;
  if (parts.empty()) return order;
  order.section = index_of(kSections, parts.front());
  const bool grouped =
      parts.front() == "scales" || parts.front() == "diagnostics" || parts.front() == "perplexity";
  if (grouped && parts.size() > 1 && parts[1] != "bf16") order.group = parts[1];
  const std::size_t module = grouped ? 2 : 1;
  if (parts.size() > module) order.module = module_order(parts[module]);
  return order;
}

}  // namespace fp8cal
