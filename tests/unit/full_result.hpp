#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <tuple>

#include "jobs/result.hpp"

namespace fp8cal {

inline ActivationStatistics tensor_statistics(std::uint16_t amax_bin) {
  ActivationStatistics statistics;
  statistics.histogram.assign(32768, 0);
  statistics.histogram[0] = 10;
  statistics.histogram[amax_bin] = 3;
  statistics.channel_amax = {3.5f, 0.0f, 0.25f};
  statistics.snapshots = {{32, 0.5f}, {64, 3.5f}};
  return statistics;
}

/// A small result with something in every part.
inline Result full_result() {
  const std::string layer = "model.layers.0.";
  Result result;
  result.provenance = {{"host", "n1"}, {"places", std::vector<std::string>{"a", "", "bb"}}};
  result.job = {{"calibration.seed", std::int64_t{-1234}},
                {"model.rms_norm_eps", 1e-5},
                {"numerics", "cpu-1"},
                {"empty", ""},
                {"scales.recipe", std::vector<std::string>{"fp8-static", "fp8-dynamic"}}};
  result.calibration = {2, std::vector<std::uint32_t>(140)};
  std::iota(result.calibration.tokens.begin(), result.calibration.tokens.end(), 128'000);
  result.evaluation = {4, {1, 2, 3, 4, 5, 6, 7, 8}};
  result.sample_ids.resize(70);
  std::iota(result.sample_ids.begin(), result.sample_ids.end(), 100);
  result.activations[layer + "self_attn.q_proj"] = tensor_statistics(0x4060);
  result.activations[layer + "mlp.gate_proj"] = tensor_statistics(0x7F7F);
  result.activations[layer + "self_attn.k"] = tensor_statistics(0x0001);
  result.activation_aliases = {{layer + "self_attn.k_proj", layer + "self_attn.q_proj"},
                               {layer + "self_attn.v_proj", layer + "self_attn.q_proj"},
                               {layer + "mlp.up_proj", layer + "mlp.gate_proj"}};
  result.weights[layer + "self_attn.q_proj"].channel_amax = {1.0f, 2.0f};
  result.weights[layer + "mlp.gate_proj"].channel_amax = {0.0f};
  result.scales["fp8-static"] = {{layer + "self_attn.q_proj", {{0.5f}, {0.25f}, {}, {}}},
                                 {layer + "self_attn", {{}, {}, {0.125f}, {2.0f}}}};
  result.scales["fp8-dynamic"] = {{layer + "self_attn.q_proj", {{0.5f, 0.75f}, {}, {}, {}}}};
  result.diagnostics["fp8-static"][layer + "self_attn.q_proj"] = {13, 2, 1, 36.75, 0.5};
  result.diagnostics["fp8-dynamic"] = {};
  const std::vector<float> nll = {0.5f, 1.0f, 1.5f, 2.0f, 2.5f, 3.0f};
  result.perplexity["bf16"] = {2, 3, nll, {}, {}};
  result.perplexity["fp8-static"] = {
      2, 3, nll, {0.0f, 0.5f, -1e-8f, 0.0f, 0.0f, 1.0f}, {1, 0, 1, 1, 1, 0}};
  result.differences["fp8-static"] = {0.01, -0.5, 0.75};
  return result;
}

/// Everything but the provenance.
inline void expect_same_content(const Result& found, const Result& expected) {
  const auto windows = [](const TokenWindows& one) {
    return std::tie(one.sequence_length, one.tokens);
  };
  const auto tensor = [](const ActivationStatistics& one) {
    return std::tie(one.histogram, one.channel_amax, one.snapshots);
  };
  const auto predictions = [](const Perplexity& one) {
    return std::tie(one.windows, one.predictions, one.nll, one.kl, one.same_top);
  };
  const auto difference = [](const PerplexityDifference& one) {
    return std::tie(one.difference, one.low, one.high);
  };
  const auto weight = [](const WeightStatistics& one) { return std::tie(one.channel_amax); };
  const auto expect_same_map = [](const auto& one, const auto& other, const auto& fields_of) {
    ASSERT_EQ(one.size(), other.size());
    for (const auto& [name, value] : one) {
      ASSERT_TRUE(other.contains(name)) << name;
      EXPECT_TRUE(fields_of(value) == fields_of(other.at(name))) << name;
    }
  };
  EXPECT_EQ(found.job, expected.job);
  EXPECT_EQ(windows(found.calibration), windows(expected.calibration));
  EXPECT_EQ(windows(found.evaluation), windows(expected.evaluation));
  EXPECT_EQ(found.sample_ids, expected.sample_ids);
  expect_same_map(found.activations, expected.activations, tensor);
  EXPECT_EQ(found.activation_aliases, expected.activation_aliases);
  expect_same_map(found.weights, expected.weights, weight);
  EXPECT_EQ(found.scales, expected.scales);
  EXPECT_EQ(found.diagnostics, expected.diagnostics);
  expect_same_map(found.perplexity, expected.perplexity, predictions);
  expect_same_map(found.differences, expected.differences, difference);
}

}  // namespace fp8cal
