#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/checkpoint/export_tensors.hpp"
#include "coordinator/profile/profile_request.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/model_config.hpp"
#include "jobs/result.hpp"
#include "sharding/control.hpp"
#include "worker/quantized_layer.hpp"

namespace fp8cal {

/// Scales of a result by which the variants of a profile compute.
class ProfileScales {
 public:
  /// recipes: by name, checked; where: whose they are, for messages.
  ProfileScales(std::map<std::string, RecipeScales> recipes, std::string where);

  /// Those that `request` needs of `result`, the model of which is `config`. Throws InputError
  /// naming `where` for a result of another model or of no calibration, and for a recipe that it
  /// lacks or whose scales are not those of the model.
  static ProfileScales select(const Result& result, const ProfileRequest& request,
                              const ModelConfig& config, const std::string& where);

  /// Of each layer. variant "bf16": none of linear modules; kv "bf16": none of keys and values.
  /// Linear modules have those of the recipe `variant`, keys and values those of `variant` with
  /// that kv, or of any recipe with it: they do not depend on the linear modules. Throws InputError
  /// where there are none.
  std::vector<LayerScales> of(const std::string& variant, const std::string& kv,
                              std::size_t layers) const;

  const std::map<std::string, RecipeScales>& recipes() const { return recipes_; }

 private:
  std::string linear_recipe(const std::string& variant) const;
  std::string kv_recipe(const std::string& variant, const std::string& kv) const;

  std::map<std::string, RecipeScales> recipes_;
  std::string where_;
};

/// The scales of request.scales, which must not be empty, on every rank: rank 0 reads the result,
/// and all ranks check that the weights of `checkpoint`, the model's, are those that it was made
/// from. Throws AgreedError. Collective.
ProfileScales read_profile_scales(const ProfileRequest& request, const ModelConfig& config,
                                  const Checkpoint& checkpoint, const Control& control);

}  // namespace fp8cal
