#pragma once

#include <string>
#include <vector>

#include "jobs/model_config.hpp"
#include "worker/quantized_layer.hpp"

namespace fp8cal {

/// Scales for any variant and any format of keys and values, from the distributions in a result
/// file, by the policy that it was made with; or none, to be made up.
class ProfileScales {
 public:
  /// path: of the result, of the model `config`; empty: none. Throws InputError as read_result
  /// does, for another model, and for a result without distributions.
  ProfileScales(const std::string& path, const ModelConfig& config);

  /// One a layer for the recipe `variant`, keys and values left out; empty for none.
  std::vector<LayerScales> linear(const std::string& variant) const;
  /// One a layer, a scale a tensor. kv: "e4m3" or "e5m2".
  std::vector<ModuleScales> attention(const std::string& kv) const;

 private:
  std::size_t kv_heads_;
  std::string policy_;
  std::vector<LayerStatistics> layers_;  // empty: none
};

}  // namespace fp8cal
