#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "worker/layer_statistics.hpp"

namespace fp8cal {

/// What reports call an observed tensor of a layer.
struct SiteName {
  const char* column;  ///< in a few letters
  const char* title;
};
/// In the order of Site.
inline constexpr std::array<SiteName, kSites> kSiteNames = {{{"q k v", "input of q, k, v"},
                                                             {"o", "input of o"},
                                                             {"gate up", "input of gate, up"},
                                                             {"down", "input of down"},
                                                             {"K", "keys (K)"},
                                                             {"V", "values (V)"}}};

/// Where a tensor belongs: a layer and a column of reports.
struct TensorPlace {
  std::size_t layer = 0;
  std::size_t column = 0;
};

/// module: a key of Result::activations. Column: the Site. Nothing for names that no Llama has.
std::optional<TensorPlace> place_of_activation(const std::string& module);

/// "layer 3, input of down"; `module` itself where it has no place.
std::string tensor_title(const std::string& module);

/// name: of a weight among the diagnostics, with its suffix. Column: the LinearModule.
std::optional<TensorPlace> place_of_weight(std::string_view name);

}  // namespace fp8cal
