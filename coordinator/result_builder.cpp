#include "coordinator/result_builder.hpp"

#include <fmt/format.h>

#include "coordinator/model_attributes.hpp"
#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"
#include "jobs/error.hpp"
#include "jobs/sha256.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

std::string tokens_sha256(const TokenWindows& windows) {
  return to_hex(sha256(std::as_bytes(std::span(windows.tokens))));
}

/// The module under whose name a site's distribution is kept.
constexpr const char* kSiteModules[kSites] = {"self_attn.q_proj", "self_attn.o_proj",
                                              "mlp.gate_proj",    "mlp.down_proj",
                                              "self_attn.k",      "self_attn.v"};

}  // namespace

Attributes describe_content(const Job& job, const Inputs& inputs) {
  Attributes all = {
      {"tokenizer_sha256", inputs.tokenizer_sha256},
      {"evaluation_tokens_sha256", tokens_sha256(inputs.evaluation)},
      {"scales.recipe", job.scales.recipes},
      {"evaluation.windows", static_cast<std::int64_t>(inputs.evaluation.windows())},
      {"evaluation.sequence_length", static_cast<std::int64_t>(inputs.evaluation.sequence_length)},
      {"evaluation.compare", job.evaluation.compare ? "yes" : "no"},
  };
  if (!inputs.config.stored_recipe) {
    all["calibration_tokens_sha256"] = tokens_sha256(inputs.calibration);
    all["calibration.samples"] = static_cast<std::int64_t>(inputs.calibration.windows());
    all["calibration.sequence_length"] =
        static_cast<std::int64_t>(inputs.calibration.sequence_length);
    all["calibration.seed"] = static_cast<std::int64_t>(job.calibration.seed);
    all["scales.policy"] = job.scales.policy;
  }
  if (!inputs.overlap.empty()) all[kOverlapAttribute] = inputs.overlap;
  all.merge(model_attributes(inputs.config));
  return all;
}

Attributes describe_job(const Job& job, const Inputs& inputs, const Backend& backend,
                        const Checkpoint& checkpoint) {
  Attributes all = describe_content(job, inputs);
  all["numerics"] = fmt::format("{}-{}", backend.name(), kNumericsVersion);
  all["weights_format"] = checkpoint.format();
  // Absent where they are native, as in every result from before there was another way.
  if (backend.fp8_products() == Fp8Products::dequantized) all["fp8_products"] = "dequantized";
  return all;
}

std::string site_module(std::size_t layer, Site site) {
  return layer_module(layer, kSiteModules[static_cast<std::size_t>(site)]);
}

/// Modules that read one input: stored once.
std::map<std::string, std::string> site_aliases(std::size_t layer) {
  const auto name = [&](const char* rest) { return layer_module(layer, rest); };
  return {{name("self_attn.k_proj"), name("self_attn.q_proj")},
          {name("self_attn.v_proj"), name("self_attn.q_proj")},
          {name("mlp.up_proj"), name("mlp.gate_proj")}};
}

void add_statistics(Result& result, const LayerStatistics& statistics) {
  for (std::size_t s = 0; s < kSites; ++s) {
    result.activations[site_module(statistics.layer, static_cast<Site>(s))] =
        statistics.activations[s];
  }
  result.activation_aliases.merge(site_aliases(statistics.layer));
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    result.weights[layer_module(statistics.layer, linear_modules()[m])] = statistics.weights[m];
  }
}

LayerStatistics layer_statistics(const Result& result, std::size_t layer,
                                 const std::string& where) {
  const auto find = [&](const auto& all, const char* group, const std::string& module) {
    const auto found = all.find(layer_module(layer, module));
    if (found != all.end()) return found->second;
    throw InputError(where, group, layer_module(layer, module), "none of that name");
  };
  LayerStatistics statistics;
  statistics.layer = layer;
  for (std::size_t s = 0; s < kSites; ++s) {
    statistics.activations[s] = find(result.activations, "/activations", kSiteModules[s]);
  }
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    statistics.weights[m] = find(result.weights, "/weights", linear_modules()[m]);
  }
  return statistics;
}

void add_diagnostics(Result& result, const Recipe& recipe, const LayerStatistics& statistics,
                     const LayerScales& scales) {
  const auto add = [&](Site site, float scale, Fp8Format format) {
    const std::size_t s = static_cast<std::size_t>(site);
    const Distribution distribution(statistics.activations[s].histogram);
    result.diagnostics[recipe.name][site_module(statistics.layer, site)] =
        quantization_error(distribution, scale, format);
  };
  for (const LinearModule module :
       {LinearModule::q, LinearModule::o, LinearModule::gate, LinearModule::down}) {
    const std::vector<float>& scale = scales.linear[static_cast<std::size_t>(module)].input_scale;
    if (!scale.empty()) add(input_site(module), scale.front(), Fp8Format::e4m3);
  }
  if (!recipe.kv || recipe.kv->per_head) return;  // of one head only the amax is known
  add(Site::key, scales.attention.k_scale.front(), recipe.kv->format);
  add(Site::value, scales.attention.v_scale.front(), recipe.kv->format);
}

void add_weight_errors(Result& result, const std::string& recipe, std::size_t layer,
                       const WeightErrors& errors) {
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    result.diagnostics[recipe][layer_module(layer, linear_modules()[m]) + kWeightSuffix] =
        errors[m];
  }
}

void add_scales(Result& result, const std::string& recipe, std::size_t layer,
                const LayerScales& scales) {
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    result.scales[recipe][layer_module(layer, linear_modules()[m])] = scales.linear[m];
  }
  if (scales.attention != ModuleScales{}) {
    result.scales[recipe][layer_module(layer, kAttentionModule)] = scales.attention;
  }
}

}  // namespace fp8cal
