#include "coordinator/checkpoint/model_card.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/checkpoint/markdown.hpp"
#include "coordinator/provenance.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ModelCardTest : public testing::Test {
 protected:
  ModelCardTest() {
    result_.provenance = {{"calibration_dataset", "/home/me/wiki train.txt"},
                          {"evaluation_dataset", "test.txt"},
                          {"warnings", std::vector<std::string>{"too few sequences"}}};
    result_.job = {{"calibration.seed", std::int64_t{1234}},
                   {"scales.policy", "percentile:99.9"},
                   {"weights_digest", "feed"}};
    result_.calibration = {2, {1, 2, 3, 4, 5, 6}};
    result_.perplexity["bf16"] = {1, 2, {0.0f, 2.0f}, {}, {}};
    result_.perplexity[recipe_.name] = {1, 2, {0.5f, 1.75f}, {0.25f, 0.5f}, {1, 0}};
    result_.differences[recipe_.name] = {0.34, -0.5, 1.25};
  }

  std::string card() const {
    return model_card({result_, digest_, recipe_, CheckpointFormat::compressed_tensors, config_});
  }

  Result result_;
  Recipe recipe_ = find_recipe("fp8-static-kv-e4m3-head");
  const std::string digest_ = "0123abcd";
  nlohmann::json config_ = {{"_name_or_path", "meta-llama/Llama-3.1-8B"}};
};

TEST_F(ModelCardTest, TellsWhatWasDone) {
  const std::string text = card();
  EXPECT_THAT(text, StartsWith("---\nbase_model: \"meta-llama/Llama-3.1-8B\"\n"));
  EXPECT_THAT(text, AllOf(HasSubstr("# `meta-llama/Llama-3.1-8B` in FP8"),
                          HasSubstr("- Weights of the linear layers: E4M3 with one scale a tensor"),
                          HasSubstr("- Keys and values: E4M3 with one static scale a KV head"),
                          HasSubstr("`percentile:99.9`"),
                          HasSubstr("3 x 2 tokens of `wiki train.txt`, seed 1234")));
  EXPECT_THAT(text, AllOf(HasSubstr("- `too few sequences`"), HasSubstr("weights: `feed`"),
                          HasSubstr("`0123abcd`"), HasSubstr(version_text()),
                          HasSubstr("vllm serve"), Not(HasSubstr("/home/me"))));
}

TEST_F(ModelCardTest, TellsWhatItCosts) {
  // exp(1) and exp(1.125).
  EXPECT_THAT(card(),
              AllOf(HasSubstr("Perplexity over 1 x 3 tokens of `test.txt`"),
                    HasSubstr("| bf16 | 2.7183 | | | | |\n"),
                    HasSubstr("| fp8-static-kv-e4m3-head | 3.0802 | +0.3619 | -0.5000 to +1.2500 | "
                              "0.375000 | 50.00 % |\n"),
                    HasSubstr("The difference is: ambiguous: run downstream benchmarks.")));
}

TEST_F(ModelCardTest, SaysThatTextsOverlap) {
  EXPECT_THAT(card(), Not(HasSubstr("report")));
  result_.job["overlap"] = "3 of `6 evaluation tokens\nlie in 32-grams";
  EXPECT_THAT(card(),
              AllOf(HasSubstr("The difference is: ambiguous: run downstream benchmarks; not "
                              "reportable: calibration and evaluation text overlap."),
                    HasSubstr("Not to be reported: ``3 of `6 evaluation tokens?lie in")));
  result_.perplexity.erase("bf16");
  EXPECT_THAT(card(), HasSubstr("Not to be reported: "));
}

TEST_F(ModelCardTest, SaysWhatWasNotMeasured) {
  result_.differences.clear();
  result_.perplexity[recipe_.name].kl.clear();
  EXPECT_THAT(card(), HasSubstr("| +0.3619 | not measured | not measured | not measured |\n"));
  result_.perplexity.erase("bf16");
  EXPECT_THAT(card(), AllOf(HasSubstr("| 3.0802 | not measured |"), Not(HasSubstr("| bf16 |")),
                            Not(HasSubstr("The difference is"))));
  result_.perplexity.clear();
  EXPECT_THAT(card(), AllOf(HasSubstr("Perplexity of this recipe: not measured."),
                            Not(HasSubstr("| variant |"))));
}

TEST_F(ModelCardTest, NamesABaseModelOnlyOfTheHub) {
  for (const char* path : {"/models/Llama", "Llama", "a/b/c", "a/..", "../b", "a/b\nlicense: mit",
                           "a/\"b", "a/b c", "", "a/"}) {
    config_["_name_or_path"] = path;
    EXPECT_THAT(card(), AllOf(Not(HasSubstr("base_model")), HasSubstr("# A Llama model in FP8")))
        << path;
  }
  config_["_name_or_path"] = 7;
  EXPECT_THAT(card(), Not(HasSubstr("base_model")));
  config_ = nlohmann::json::object();
  EXPECT_THAT(card(), Not(HasSubstr("base_model")));
}

TEST_F(ModelCardTest, TextFromOutsideStaysInItsLine) {
  result_.provenance["calibration_dataset"] = "x`\n## Forged\n<script>";
  result_.provenance["warnings"] = std::vector<std::string>{"a\n---\nb"};
  result_.job["scales.policy"] = std::int64_t{3};  // another type than expected
  EXPECT_THAT(card(), AllOf(HasSubstr("of ``x`?## Forged?<script>``, seed"),
                            HasSubstr("- `a?---?b`\n"), HasSubstr("static scales: unknown\n")));
}

TEST(CodeSpan, HoldsAnything) {
  EXPECT_EQ(code_span("plain"), "`plain`");
  EXPECT_EQ(code_span(""), "(empty)");
  EXPECT_EQ(code_span("`a``"), "``` `a`` ```");
  EXPECT_EQ(code_span(" x"), "`  x `");
  EXPECT_EQ(code_span("caf\u00e9\xff\x1b"), "`caf\u00e9??`");
  EXPECT_EQ(code_span(std::string(1000, 'x')), "`" + std::string(300, 'x') + "...`");
  EXPECT_EQ(code_span(std::string(299, 'x') + "\u00e9"), "`" + std::string(299, 'x') + "...`");
}

}  // namespace
}  // namespace fp8cal
