#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "coordinator/audit/audit_json.hpp"
#include "coordinator/audit/audit_text.hpp"
#include "coordinator/audit/flow_order.hpp"
#include "tests/unit/consistent_result.hpp"

namespace fp8cal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLayer = "model.layers.0.";
constexpr Tolerances kTolerant = {.scale = 0.01, .ppl = 0.02};

/// consistent_result() against itself with an edit.
template <class Edit>
Comparison edited(Edit edit, const Tolerances& tolerances = {}) {
  StoredResult a = {consistent_result(), "digest a"};
  StoredResult b = {consistent_result(), "digest b"};
  edit(b.result);
  return compare(a, b, tolerances);
}

TEST(Bf16Steps, CountTheSpacingAtTheLargerMagnitude) {
  EXPECT_EQ(bf16_steps(1.0f, 1.0f), 0);
  EXPECT_EQ(bf16_steps(0.0f, -0.0f), 0);
  EXPECT_EQ(bf16_steps(1.0f, 1.0f + 0x1p-7f), 1);     // from 1 on BF16 steps are 2^-7
  EXPECT_EQ(bf16_steps(1.0f, 1.0f - 0x1p-8f), 0.5);   // below, 2^-8
  EXPECT_EQ(bf16_steps(1.0f, 1.0f + 0x1p-9f), 0.25);  // f32 lies between
  EXPECT_EQ(bf16_steps(-2.0f, 2.0f), 256);
  EXPECT_EQ(bf16_steps(0x1p-133f, 0.0f), 1);  // the smallest BF16 number
  EXPECT_EQ(bf16_steps(3.0f, 0.0f), 192);
}

TEST(FlowOrder, IsThatOfTheComputation) {
  const std::vector<std::string> paths = {
      "/",
      "/job",
      "/job/evaluation_tokens",
      "/weights/model.layers.0.self_attn.q_proj/amax",
      "/activations/model.layers.0.self_attn.q_proj/histogram",
      "/activations/model.layers.0.self_attn.k/histogram",
      "/activations/model.layers.0.self_attn.o_proj/histogram",
      "/activations/model.layers.0.mlp.gate_proj/amax",
      "/activations/model.layers.2.self_attn.q_proj/amax",
      "/activations/model.layers.10.self_attn.q_proj/amax",
      "/activations/norm",
      "/scales/fp8-dynamic/model.layers.3.self_attn.q_proj/weight_scale",
      "/scales/fp8-static/model.layers.0.self_attn.q_proj/weight_scale",
      "/diagnostics/fp8-static/model.layers.0.self_attn.q_proj",
      "/perplexity/bf16/nll",
      "/perplexity/a-recipe/nll"};
  for (std::size_t i = 0; i + 1 < paths.size(); ++i) {
    EXPECT_LT(flow_order(paths[i]), flow_order(paths[i + 1])) << paths[i];
  }
}

TEST(Compare, EqualResultsHaveNoDifference) {
  const StoredResult a = {consistent_result(), "digest"};
  const Comparison found = compare(a, a, {});
  EXPECT_EQ(found.verdict, Verdict::equal);
  EXPECT_FALSE(found.cause);
  EXPECT_EQ(found.contents.layers, 1u);
  EXPECT_EQ(found.contents.distributions, 6u);
  EXPECT_EQ(found.of(Kind::scales).compared, 7u + 7u + 7u + 7u + 2u);  // weights, inputs, K and V
  EXPECT_EQ(found.of(Kind::scales).differing, 0u);
  EXPECT_THAT(comparison_text(found, "x", "y"), HasSubstr("x and y are equal"));
}

TEST(Compare, TheCauseIsWhatComesFirstInTheFlow) {
  const auto change_all = [](Result& b) {
    b.perplexity["bf16"].nll[0] = 0.75f;
    b.scales["fp8-static"][std::string(kLayer) + "self_attn.q_proj"].input_scale[0] *= 2;
    b.activations[std::string(kLayer) + "mlp.down_proj"] = uniform_tensor(7, 6);
    b.activations[std::string(kLayer) + "self_attn.o_proj"] = uniform_tensor(7, 4);
  };
  Comparison found = edited(change_all);
  EXPECT_EQ(found.verdict, Verdict::different);
  EXPECT_EQ(found.cause->object, "/activations/model.layers.0.self_attn.o_proj/histogram");
  const Difference& largest = *found.of(Kind::histograms).largest;
  EXPECT_EQ(largest.object, "/activations/model.layers.0.mlp.down_proj/histogram");
  EXPECT_EQ(largest.size, 3);  // 35 and 41 elements of magnitude 1
  EXPECT_EQ(found.of(Kind::histograms).differing, 2u);
  EXPECT_EQ(found.of(Kind::scales).differing, 1u);
  // From 2/448 to 4/448, in steps of 2^-14.
  EXPECT_NEAR(found.of(Kind::scales).largest->size, 2.0 / 448 * 16384, 1e-4);
  found = edited([&](Result& b) {
    change_all(b);
    b.weights[std::string(kLayer) + "mlp.up_proj"].channel_amax[3] = 1.0f;
  });
  EXPECT_EQ(found.cause->object, "/weights/model.layers.0.mlp.up_proj/channel_amax");
  EXPECT_EQ(found.cause->at, "row 3");
  EXPECT_EQ(found.cause->size, 64);  // from 0.5 to 1, in steps of 2^-7
  found = edited([&](Result& b) {
    change_all(b);
    b.evaluation.tokens[4] = 0;
  });
  EXPECT_EQ(text_of(*found.cause), "/job/evaluation_tokens window 1, position 1: 2 | 0");
  found = edited([&](Result& b) {
    change_all(b);
    b.job["calibration.seed"] = std::int64_t{5};
  });
  EXPECT_EQ(text_of(*found.cause), "/job attribute calibration.seed: 1234 | 5");
}

TEST(Compare, NamesTheFirstLayerBesideACauseThatIsNone) {
  const StoredResult a = {consistent_result(), "digest"};
  StoredResult b = {consistent_result(), "other"};
  b.result.job["numerics"] = "cuda-1";
  EXPECT_FALSE(compare(a, b, {}).first_layer);
  b.result.activations.at("model.layers.0.self_attn.k").channel_amax[0] *= 2;
  const Comparison found = compare(a, b, {});
  EXPECT_EQ(found.cause->at, "attribute numerics");
  ASSERT_TRUE(found.first_layer);
  EXPECT_EQ(found.first_layer->object, "/activations/model.layers.0.self_attn.k/channel_amax");
  EXPECT_THAT(comparison_text(found, "x", "y"), HasSubstr("from       /activations/model.layers.0"));
  EXPECT_FALSE(compare(a, b, {.scale = 0.1}).first_layer);  // tolerated
}

TEST(Compare, NamesTheTokenWhoseLikelihoodChangedMost) {
  const Comparison found = edited([](Result& b) {
    b.perplexity["fp8-static"].nll[0] = 0.625f;
    b.perplexity["fp8-static"].nll[3] = 1.0f;
  });
  EXPECT_EQ(found.cause->object, "/perplexity/fp8-static");
  const Difference& largest = *found.of(Kind::nll).largest;
  EXPECT_EQ(text_of(largest), "/perplexity/fp8-static/nll window 1, position 2, token 1: 2 | 1");
  EXPECT_EQ(largest.size, 1);
}

TEST(Compare, TellsOfPartsThatOneFileLacks) {
  const Comparison found = edited([](Result& b) {
    b.scales.erase("fp8-static");
    b.perplexity.erase("fp8-static");
    b.differences.erase("fp8-static");
    b.activations.erase(std::string(kLayer) + "self_attn.v");
  });
  ASSERT_EQ(found.missing.size(), 3u);
  EXPECT_EQ(found.missing[0].object, "/activations/model.layers.0.self_attn.v");
  EXPECT_EQ(found.missing[1].object, "/scales/fp8-static");
  EXPECT_EQ(found.missing[2].object, "/perplexity/fp8-static");
  EXPECT_TRUE(found.missing[0].only_in_a);
  EXPECT_EQ(found.cause->object, "/activations/model.layers.0.self_attn.v");
  EXPECT_THAT(comparison_text(found, "x", "y"), HasSubstr("only in x: /activations/"));
}

/// What other hardware may change.
void compute_elsewhere(Result& b) {
  b.job["numerics"] = "cuda-1";
  b.job["fp8_products"] = "dequantized";
  ActivationStatistics& tensor = b.activations[std::string(kLayer) + "self_attn.o_proj"];
  std::swap(tensor.histogram[float_to_bf16(2.0f)],
            tensor.histogram[float_to_bf16(2.0f) + 1]);  // 2.015625
  tensor.channel_amax.assign(4, 2.015625f);
  b.scales["fp8-static"][std::string(kLayer) + "self_attn.o_proj"].input_scale[0] *= 1.0078125f;
  b.perplexity["bf16"].nll[0] += 0x1p-8f;
}

TEST(Compare, ToleratesWhatOtherHardwareMayChange) {
  Comparison found = edited(compute_elsewhere, kTolerant);
  EXPECT_EQ(found.verdict, Verdict::within_tolerance) << text_of(*found.cause);
  EXPECT_EQ(found.of(Kind::job).differing, 2u);
  EXPECT_EQ(found.of(Kind::amax).differing, 1u);
  EXPECT_EQ(found.of(Kind::amax).largest->size, 1);
  EXPECT_THAT(comparison_text(found, "x", "y"),
              AllOf(HasSubstr("agree within the tolerances"),
                    HasSubstr("numerics         cpu-1 | cuda-1")));
  found = edited(compute_elsewhere);
  EXPECT_EQ(text_of(*found.cause), "/job attribute fp8_products: none | dequantized");
  found = edited(compute_elsewhere, {.scale = 0.005, .ppl = 0.02});
  EXPECT_EQ(found.cause->object, "/activations/model.layers.0.self_attn.o_proj/amax");
  EXPECT_EQ(found.of(Kind::scales).beyond, 1u);
  found = edited(compute_elsewhere, {.scale = 0.01, .ppl = 0.001});
  EXPECT_EQ(found.cause->object, "/perplexity/bf16");
}

TEST(Compare, ToleratesNothingThatNoHardwareChanges) {
  const auto cause = [](auto edit) {
    const Comparison found = edited(edit, {.scale = 0.5, .ppl = 100});
    return found.cause ? text_of(*found.cause) : "none";
  };
  EXPECT_THAT(cause([](Result& b) { b.calibration.tokens[0] = 2; }), HasSubstr("1 | 2"));
  EXPECT_THAT(cause([](Result& b) { b.job["weights_digest"] = "x"; }), HasSubstr("weights_digest"));
  EXPECT_THAT(cause([](Result& b) { b.job["scales.policy"] = "mse"; }), HasSubstr("amax | mse"));
  EXPECT_THAT(cause([](Result& b) { b.job["model.head_dim"] = std::int64_t{3}; }),
              HasSubstr("2 | 3"));
  EXPECT_THAT(cause([](Result& b) { b.job["parent_digest"] = "x"; }), HasSubstr("none | x"));
  EXPECT_THAT(cause([](Result& b) {
                b.weights[std::string(kLayer) + "mlp.up_proj"].channel_amax[0] = 0.501953125f;
              }),
              HasSubstr("/weights/"));
  EXPECT_THAT(cause([](Result& b) {
                b.scales["fp8-static"][std::string(kLayer) + "mlp.up_proj"].weight_scale = {1, 1};
              }),
              HasSubstr("size: 1 | 2"));
}

TEST(Compare, SaysWhichResultWasDerivedFromWhich) {
  StoredResult a = {consistent_result(), "digest a"};
  StoredResult b = {consistent_result(), "digest b"};
  b.result.job["parent_digest"] = "digest a";
  b.result.job["scales.policy"] = "mse";
  const Comparison found = compare(a, b, {});
  EXPECT_THAT(found.relation, HasSubstr("the second was derived from the first"));
  EXPECT_EQ(text_of(*found.cause), "/job attribute scales.policy: amax | mse");
}

TEST(Compare, DigestsThatDifferAreToldEvenWhereNothingElseDoes) {
  const Comparison found = edited([](Result&) {});
  EXPECT_EQ(found.verdict, Verdict::different);
  EXPECT_EQ(found.cause->at, "attribute content_digest");
}

TEST(CompareJson, SaysTheSame) {
  Comparison found = edited(compute_elsewhere, {.scale = 0.005, .ppl = 0.02});
  found.runs.push_back({"places", "\x80 no UTF-8", "b"});
  const auto json = nlohmann::json::parse(comparison_json(found, "x", "y"));
  EXPECT_EQ(json.at("verdict"), "different");
  EXPECT_EQ(json.at("cause").at("kind"), "amax");
  EXPECT_EQ(json.at("kinds").size(), kKinds);
  EXPECT_EQ(json.at("kinds").at(0).at("kind"), "job");
  EXPECT_EQ(json.at("kinds").at(0).at("first").at("size"), nullptr);
  EXPECT_EQ(json.at("kinds").at(4).at("largest").at("size"), 1.0);
}

}  // namespace
}  // namespace fp8cal
