#include "coordinator/report/tensor_place.hpp"

#include <fmt/format.h>

#include "coordinator/audit/flow_order.hpp"
#include "coordinator/result_builder.hpp"
#include "jobs/result.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostLayers = std::size_t{1} << 20;  // as in a config.json

}  // namespace

std::optional<TensorPlace> place_of_activation(const std::string& module) {
  const std::size_t layer = module_order(module).layer;
  if (layer >= kMostLayers) return std::nullopt;
  for (std::size_t s = 0; s < kSites; ++s) {
    if (site_module(layer, static_cast<Site>(s)) == module) return TensorPlace{layer, s};
  }
  return std::nullopt;
}

std::string tensor_title(const std::string& module) {
  const auto place = place_of_activation(module);
  if (!place) return module;
  return fmt::format("layer {}, {}", place->layer, kSiteNames[place->column].title);
}

std::optional<TensorPlace> place_of_weight(std::string_view name) {
  if (!name.ends_with(kWeightSuffix)) return std::nullopt;
  name.remove_suffix(std::string_view(kWeightSuffix).size());
  const std::size_t layer = module_order(name).layer;
  if (layer >= kMostLayers) return std::nullopt;
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    if (layer_module(layer, linear_modules()[m]) == name) return TensorPlace{layer, m};
  }
  return std::nullopt;
}

}  // namespace fp8cal
