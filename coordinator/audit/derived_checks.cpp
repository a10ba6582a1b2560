#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "coordinator/audit/consistency.hpp"
#include "coordinator/audit/flow_order.hpp"
#include "coordinator/bootstrap.hpp"
#include "coordinator/checkpoint/export_tensors.hpp"
#include "coordinator/model_attributes.hpp"
#include "coordinator/scales/rescale.hpp"

namespace fp8cal {
namespace {

constexpr const char* kBf16 = "bf16";
constexpr const char* kJob = "/job";

std::vector<std::string> recipes_of(const Result& result) {
  return job_attribute<std::vector<std::string>>(result.job, "scales.recipe", kJob);
}

/// Names of one map that the other lacks, either way.
template <class Map>
void expect_same_names(const std::string& group, const Map& expected, const Map& found,
                       Findings& findings) {
  for (const auto& [name, one] : expected) {
    if (!found.contains(name)) findings.add({group + name, "object", "one", "none"});
  }
  for (const auto& [name, one] : found) {
    if (!expected.contains(name)) findings.add({group + name, "object", "none", "one"});
  }
}

void expect_scale(const std::string& object, const std::vector<float>& expected,
                  const std::vector<float>& found, Findings& findings) {
  if (expected.size() != found.size()) {
    findings.add({object, "scales", fmt::to_string(expected.size()), fmt::to_string(found.size())});
    return;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(expected[i]) == std::bit_cast<std::uint32_t>(found[i])) {
      continue;
    }
    findings.add({object, fmt::format("scale {}", i), fmt::to_string(expected[i]),
                  fmt::to_string(found[i])});
    return;
  }
}

/// The names of `map` in the order of the layers.
template <class Map>
std::vector<std::string> in_flow_order(const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, one] : map) names.push_back(name);
  std::ranges::sort(names, {}, [](const std::string& name) { return module_order(name); });
  return names;
}

void compare_scales(const std::string& recipe, const std::map<std::string, ModuleScales>& expected,
                    const std::map<std::string, ModuleScales>& found, Findings& findings) {
  const std::string group = "/scales/" + recipe + "/";
  expect_same_names(group, expected, found, findings);
  for (const std::string& module : in_flow_order(expected)) {
    if (!found.contains(module)) continue;
    const ModuleScales& a = expected.at(module);
    const ModuleScales& b = found.at(module);
    const std::string object = group + module;
    expect_scale(object + "/weight_scale", a.weight_scale, b.weight_scale, findings);
    expect_scale(object + "/input_scale", a.input_scale, b.input_scale, findings);
    expect_scale(object + "/k_scale", a.k_scale, b.k_scale, findings);
    expect_scale(object + "/v_scale", a.v_scale, b.v_scale, findings);
  }
}

std::string shown(const QuantizationError& error) {
  return fmt::format("elements {}, clipped {}, flushed {}, energy {}, squared_error {}",
                     error.elements, error.clipped, error.flushed, error.energy,
                     error.squared_error);
}

using TensorErrors = std::map<std::string, QuantizationError>;

/// Of weights only the number of elements follows from the rest.
void check_weight_errors(const std::string& recipe, const TensorErrors& found,
                         const ModelConfig& shape, Findings& findings) {
  if (found.empty()) return;
  const std::string group = "/diagnostics/" + recipe + "/";
  TensorErrors expected;
  for (std::size_t layer = 0; layer < shape.num_hidden_layers; ++layer) {
    for (const WeightShard& shard : layer_shards(shape, layer, 1, 0)) {
      if (shard.is_matrix()) expected[shard.name].elements = shard.total_rows() * shard.cols();
    }
  }
  expect_same_names(group, expected, found, findings);
  for (const auto& [name, one] : found) {
    const auto same = expected.find(name);
    const bool counted = one.clipped <= one.elements && one.flushed <= one.elements;
    if (same == expected.end() || (same->second.elements == one.elements && counted)) continue;
    findings.add(
        {group + name, "counts", fmt::format("{} elements", same->second.elements), shown(one)});
  }
}

void compare_diagnostics(const std::string& recipe, const TensorErrors& derived,
                         const TensorErrors& found, const ModelConfig& shape, Findings& findings) {
  const std::string group = "/diagnostics/" + recipe + "/";
  TensorErrors tensors;
  TensorErrors weights;
  for (const auto& [name, error] : found) {
    (name.ends_with(kWeightSuffix) ? weights : tensors).emplace(name, error);
  }
  expect_same_names(group, derived, tensors, findings);
  for (const std::string& name : in_flow_order(derived)) {
    const auto stored = tensors.find(name);
    if (stored == tensors.end() || stored->second == derived.at(name)) continue;
    findings.add({group + name, "attributes", shown(derived.at(name)), shown(stored->second)});
  }
  check_weight_errors(recipe, weights, shape, findings);
}

/// An FP8 checkpoint's own scales follow from nothing else in the file.
void check_stored_scales(const Result& result, const ModelConfig& shape, Findings& findings) {
  for (const std::string& name : recipes_of(result)) {
    const auto found = result.scales.find(name);
    if (found != result.scales.end()) check_scales(shape, find_recipe(name), found->second);
  }
  if (!result.diagnostics.empty()) {
    findings.add({"/diagnostics", "contents", "none without distributions", "some"});
  }
}

/// Variants that the job has no business with, or that are missing.
void check_variants(const Result& result, Findings& findings) {
  std::set<std::string> expected;
  for (const std::string& name : recipes_of(result)) expected.insert(name);
  if (is_calibrated(result)) expected.insert(kBf16);
  for (const auto& [variant, one] : result.perplexity) {
    if (!expected.contains(variant)) {
      findings.add({"/perplexity/" + variant, "variant", "none of that name", "one"});
    }
  }
  // `fp8cal scales` leaves out what was measured with other scales.
  const bool derived = result.job.contains("parent_digest");
  for (const std::string& variant : expected) {
    if (result.perplexity.contains(variant) || (derived && variant != kBf16)) continue;
    findings.add({"/perplexity/" + variant, "variant", "one", "none"});
  }
}

void check_comparison(const Result& result, Findings& findings) {
  const auto compare = result.job.find("evaluation.compare");
  if (compare == result.job.end()) return;  // from before there was a choice
  const bool expected = compare->second == Attribute(std::string("yes"));
  for (const auto& [variant, one] : result.perplexity) {
    if (!one.kl.empty() == (expected && variant != kBf16)) continue;
    findings.add({"/perplexity/" + variant + "/kl", "object", one.kl.empty() ? "one" : "none",
                  one.kl.empty() ? "none" : "one"});
  }
}

/// The bootstrap's exponentials may be those of another C library.
bool nearly_equal(double found, double expected, double perplexity) {
  return std::abs(found - expected) <= 1e-12 * perplexity;
}

void check_differences(const Result& result, Findings& findings) {
  const auto bf16 = result.perplexity.find(kBf16);
  if (bf16 == result.perplexity.end() || result.differences.empty()) return;
  const auto seed = job_attribute<std::int64_t>(result.job, "calibration.seed", kJob);
  for (const auto& [variant, one] : result.perplexity) {
    if (variant == kBf16) continue;
    const auto expected =
        perplexity_difference(bf16->second, one, static_cast<std::uint64_t>(seed));
    const auto found = result.differences.find(variant);
    const auto shown = [](const PerplexityDifference& d) {
      return fmt::format("{}, {} to {}", d.difference, d.low, d.high);
    };
    const bool present = found != result.differences.end();
    const double scale = std::max(bf16->second.ppl(), one.ppl());
    if (expected && present &&
        nearly_equal(found->second.difference, expected->difference, scale) &&
        nearly_equal(found->second.low, expected->low, scale) &&
        nearly_equal(found->second.high, expected->high, scale)) {
      continue;
    }
    if (!expected && !present) continue;
    findings.add({"/perplexity/" + variant, "attribute ppl_difference",
                  expected ? shown(*expected) : "none", present ? shown(found->second) : "none"});
  }
}

}  // namespace

void check_derived(const Result& result, const ModelConfig& shape, int threads,
                   Findings& findings) {
  const std::vector<std::string> recipes = recipes_of(result);
  std::map<std::string, int> named;
  for (const std::string& recipe : recipes) named[recipe] = 0;
  std::map<std::string, int> stored;
  for (const auto& [recipe, modules] : result.scales) stored[recipe] = 0;
  expect_same_names("/scales/", named, stored, findings);
  if (!is_calibrated(result)) return check_stored_scales(result, shape, findings);
  const auto& policy = job_attribute<std::string>(result.job, "scales.policy", kJob);
  DerivedScales derived =
      derive_from_result(result, parse_scale_policy(policy), recipes, threads, "/activations");
  for (const std::string& recipe : recipes) {
    if (stored.contains(recipe)) {
      compare_scales(recipe, derived.scales[recipe], result.scales.at(recipe), findings);
    }
  }
  if (result.diagnostics.empty()) return;  // from before there were any
  for (const auto& [recipe, tensors] : result.diagnostics) {
    if (!named.contains(recipe)) findings.add({"/diagnostics/" + recipe, "object", "none", "one"});
  }
  for (const std::string& recipe : recipes) {
    const auto found = result.diagnostics.find(recipe);
    compare_diagnostics(recipe, derived.diagnostics[recipe],
                        found == result.diagnostics.end() ? TensorErrors() : found->second, shape,
                        findings);
  }
}

void check_perplexity(const Result& result, Findings& findings) {
  try {
    check_variants(result, findings);
    check_comparison(result, findings);
    check_differences(result, findings);
  } catch (const InputError& error) {
    findings.add(finding_of(error, ""));
  }
}

}  // namespace fp8cal
