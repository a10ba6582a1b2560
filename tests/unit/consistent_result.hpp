#pragma once

#include <string>
#include <vector>

#include "coordinator/bootstrap.hpp"
#include "coordinator/result_builder.hpp"
#include "coordinator/scales/rescale.hpp"
#include "jobs/sha256.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// As many elements as `tokens` have in `channels`: magnitude 1 but for one of 2 in channel 0.
inline ActivationStatistics uniform_tensor(std::size_t tokens, std::size_t channels) {
  ActivationStatistics tensor;
  tensor.histogram.assign(kHistogramSize, 0);
  tensor.histogram[float_to_bf16(1.0f)] = tokens * channels - 1;
  tensor.histogram[float_to_bf16(2.0f)] = 1;
  tensor.channel_amax.assign(channels, 1.0f);
  tensor.channel_amax[0] = 2.0f;
  return tensor;
}

/// A calibration whose numbers all follow from each other: one layer, hidden 4, intermediate 6, two
/// heads and one KV head of 2, two windows of 3 tokens to calibrate on and as many to evaluate.
inline Result consistent_result() {
  Result result;
  result.calibration = {3, {1, 2, 3, 4, 5, 6}};
  result.evaluation = {3, {6, 5, 4, 3, 2, 1}};
  result.sample_ids = {8, 5};
  const auto digest = [](const TokenWindows& windows) {
    return to_hex(sha256(std::as_bytes(std::span(windows.tokens))));
  };
  const auto whole = [](std::int64_t value) { return value; };
  const std::vector<std::string> recipes = {"fp8-static", "fp8-channel-kv-e4m3"};
  result.job = {{"numerics", "cpu-1"},
                {"weights_digest", std::string(64, 'a')},
                {"tokenizer_sha256", std::string(64, 'b')},
                {"calibration_tokens_sha256", digest(result.calibration)},
                {"evaluation_tokens_sha256", digest(result.evaluation)},
                {"calibration.samples", whole(2)},
                {"calibration.sequence_length", whole(3)},
                {"calibration.seed", whole(1234)},
                {"evaluation.windows", whole(2)},
                {"evaluation.sequence_length", whole(3)},
                {"evaluation.compare", "no"},
                {"scales.recipe", recipes},
                {"scales.policy", "amax"},
                {"model.vocab_size", whole(7)},
                {"model.hidden_size", whole(4)},
                {"model.intermediate_size", whole(6)},
                {"model.num_hidden_layers", whole(1)},
                {"model.num_attention_heads", whole(2)},
                {"model.num_key_value_heads", whole(1)},
                {"model.head_dim", whole(2)}};
  LayerStatistics layer;
  constexpr std::size_t kChannels[kSites] = {4, 4, 4, 6, 2, 2};
  constexpr std::size_t kRows[kLinearModules] = {4, 2, 2, 4, 6, 6, 4};
  for (std::size_t s = 0; s < kSites; ++s) layer.activations[s] = uniform_tensor(6, kChannels[s]);
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    layer.weights[m].channel_amax.assign(kRows[m], 0.5f);
  }
  add_statistics(result, layer);
  DerivedScales derived = derive_from_result(result, parse_scale_policy("amax"), recipes, 1, "");
  result.scales = std::move(derived.scales);
  result.diagnostics = std::move(derived.diagnostics);
  result.perplexity["bf16"] = {2, 2, {0.5f, 1.0f, 1.5f, 2.0f}, {}, {}};
  for (const std::string& recipe : recipes) {
    result.perplexity[recipe] = {2, 2, {0.5f, 1.25f, 1.5f, 2.0f}, {}, {}};
    result.differences[recipe] =
        *perplexity_difference(result.perplexity["bf16"], result.perplexity[recipe], 1234);
  }
  return result;
}

}  // namespace fp8cal
