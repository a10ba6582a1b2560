#include "coordinator/study/study_variants.hpp"

#include <fmt/format.h>

#include <set>

#include "coordinator/scales/scale_policy.hpp"
#include "jobs/packing.hpp"
#include "jobs/recipe.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

bool has_static_scales(const Recipe& recipe) {
  return recipe.input == Recipe::Input::per_tensor || recipe.kv.has_value();
}

void pack_scales(std::string& bytes, const ModuleScales& scales) {
  for (const auto* one :
       {&scales.weight_scale, &scales.input_scale, &scales.k_scale, &scales.v_scale}) {
    pack(bytes, *one);
  }
}

/// Of the scales that this rank's layers have.
std::string digest_of(const std::vector<LayerScales>& layers) {
  std::string bytes;
  for (const LayerScales& layer : layers) {
    for (const ModuleScales& module : layer.linear) pack_scales(bytes, module);
    pack_scales(bytes, layer.attention);
  }
  return to_hex(sha256(std::as_bytes(std::span(bytes))));
}

}  // namespace

StudyVariants::StudyVariants(const Study& study, const std::vector<std::size_t>& missing) {
  for (const std::size_t cell : missing) {
    for (const std::string& recipe : study.cells[cell].job.scales.recipes) {
      names_[{cell, recipe}] =
          has_static_scales(find_recipe(recipe)) ? fmt::format("{} {}", recipe, cell) : recipe;
    }
  }
}

void StudyVariants::join_equal(const Study& study, const StudyStatistics& statistics,
                               std::size_t kv_heads, const Control& control) {
  std::string own;
  for (const auto& [key, name] : names_) {
    if (name == key.second) continue;  // one for all already
    const StudyCell& cell = study.cells[key.first];
    pack(own, digest_of(derive_scales(find_recipe(key.second),
                                      parse_scale_policy(cell.job.scales.policy), kv_heads,
                                      statistics.of(cell))));
  }
  // Scales are equal where they are on every rank.
  std::string joined;
  for (const std::string& part : control.gather(own)) pack(joined, part);
  joined = control.broadcast(joined);
  std::vector<std::string> parts;
  for (Unpacker from(joined); !from.done();) from.take(parts.emplace_back());
  std::vector<Unpacker> ranks(parts.begin(), parts.end());
  std::map<std::string, std::string> first_of;  // recipe and scales -> name
  for (auto& [key, name] : names_) {
    if (name == key.second) continue;
    std::string scales = key.second;
    for (Unpacker& rank : ranks) {
      std::string digest;
      rank.take(digest);
      scales += " " + digest;
    }
    name = first_of.try_emplace(scales, name).first->second;
  }
}

std::size_t StudyVariants::count() const {
  std::set<std::string> all;
  for (const auto& [key, name] : names_) all.insert(name);
  return all.size();
}

}  // namespace fp8cal
