#include "coordinator/profile/profile_scales.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ranges>
#include <utility>

#include "coordinator/audit/weights_check.hpp"
#include "coordinator/checkpoint/scale_packing.hpp"
#include "coordinator/model_attributes.hpp"
#include "jobs/error.hpp"
#include "jobs/packing.hpp"
#include "jobs/recipe.hpp"
#include "jobs/result_reader.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

constexpr const char* kBf16 = "bf16";

std::string pack_recipes(const std::map<std::string, RecipeScales>& recipes) {
  std::string bytes;
  for (const auto& [name, scales] : recipes) {
    pack(bytes, name);
    pack(bytes, pack_scales(scales));
  }
  return bytes;
}

std::map<std::string, RecipeScales> unpack_recipes(const std::string& bytes) {
  std::map<std::string, RecipeScales> recipes;
  for (Unpacker from(bytes); !from.done();) {
    std::string name, scales;
    from.take(name);
    from.take(scales);
    recipes[name] = unpack_scales(scales);
  }
  return recipes;
}

}  // namespace

ProfileScales::ProfileScales(std::map<std::string, RecipeScales> recipes, std::string where)
    : recipes_(std::move(recipes)), where_(std::move(where)) {}

std::string ProfileScales::linear_recipe(const std::string& variant) const {
  for (const auto& [name, scales] : recipes_) {
    if (name == variant || name.starts_with(variant + kKvMark)) return name;
  }
  throw InputError(where_, "recipe that the result has no scales of",
                   recipes_.empty()
                       ? "a result with scales"
                       : fmt::format("of {}", fmt::join(std::views::keys(recipes_), ", ")),
                   "'" + variant + "'");
}

std::string ProfileScales::kv_recipe(const std::string& variant, const std::string& kv) const {
  const std::string own = variant + kKvMark + kv;
  if (recipes_.contains(own)) return own;
  for (const auto& [name, scales] : recipes_) {
    if (name.ends_with(kKvMark + kv)) return name;
  }
  throw InputError(
      where_, "no scales of keys and values in " + kv,
      fmt::format("a recipe such as 'fp8-static{}{}'", kKvMark, kv),
      recipes_.empty() ? "none" : fmt::format("{}", fmt::join(std::views::keys(recipes_), ", ")));
}

ProfileScales ProfileScales::select(const Result& result, const ProfileRequest& request,
                                    const ModelConfig& config, const std::string& where) {
  expect_same_model(config, result.job, request.model);
  if (!result.job.contains("calibration_tokens_sha256")) {
    throw InputError(where, "result", "one of a calibration", "one of an FP8 checkpoint");
  }
  const ProfileScales all(result.scales, where);
  ProfileScales needed({}, where);
  const auto keep = [&](const std::string& name) {
    if (!needed.recipes_.emplace(name, result.scales.at(name)).second) return;
    check_scales(config, find_recipe(name), result.scales.at(name));
  };
  for (const std::string& variant : request.variants) {
    if (variant != kBf16) keep(all.linear_recipe(variant));
    for (const std::string& kv : request.kv) {
      if (kv != kBf16) keep(all.kv_recipe(variant, kv));
    }
  }
  return needed;
}

std::vector<LayerScales> ProfileScales::of(const std::string& variant, const std::string& kv,
                                           std::size_t layers) const {
  const RecipeScales* linear = variant == kBf16 ? nullptr : &recipes_.at(linear_recipe(variant));
  const RecipeScales* attention = kv == kBf16 ? nullptr : &recipes_.at(kv_recipe(variant, kv));
  std::vector<LayerScales> all(layers);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (std::size_t m = 0; m < kLinearModules && linear != nullptr; ++m) {
      all[layer].linear[m] = linear->at(layer_module(layer, linear_modules()[m]));
    }
    if (attention != nullptr) {
      all[layer].attention = attention->at(layer_module(layer, kAttentionModule));
    }
  }
  return all;
}

ProfileScales read_profile_scales(const ProfileRequest& request, const ModelConfig& config,
                                  const Checkpoint& checkpoint, const Control& control) {
  tell_stage("read the scales");
  std::string digest;
  std::string recipes;
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    const Result result = read_result(request.scales).result;
    digest = job_attribute<std::string>(result.job, "weights_digest", request.scales);
    recipes =
        pack_recipes(ProfileScales::select(result, request, config, request.scales).recipes());
  });
  expect_weights_digest(digest, request.model, checkpoint, config, request.threads, control);
  return {unpack_recipes(control.broadcast(std::move(recipes))), request.scales};
}

}  // namespace fp8cal
