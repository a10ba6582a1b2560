#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "coordinator/bench_report.hpp"
#include "coordinator/command_line.hpp"
#include "coordinator/help_text.hpp"
#include "coordinator/throughput.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/nano_config.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;
using testing::Not;

ModelConfig llama_8b() {
  ModelConfig config;
  config.vocab_size = 128256;
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.num_hidden_layers = 32;
  config.num_attention_heads = 32;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  return config;
}

Workload small_work() {
  return {.calibration_sequences = 8,
          .calibration_length = 64,
          .evaluation_windows = 4,
          .evaluation_length = 64,
          .microbatch = 1};
}

TEST(Throughput, CountsLinearElements) {
  EXPECT_EQ(linear_elements(llama_8b()), 6979321856u);
  // A layer: 128 x (512 + 2 x 256) for q, k and v, 512 x 128 for o, 3 x 128 x 384.
  EXPECT_EQ(linear_elements(nano_config()), 4u * (131072 + 65536 + 147456));
}

TEST(Throughput, CountsTheOperationsOfAToken) {
  // Attention: 32 layers x 4 x 4096 x 2048 / 2.
  EXPECT_EQ(flop_per_token(llama_8b(), 2048), 2.0 * 6979321856 + 536870912);
  EXPECT_EQ(flop_per_token(nano_config(), 256), 2.0 * 1376256 + 4 * 4 * 512 * 128);
}

TEST(Throughput, CountsTheBytesThatAllRanksLoad) {
  const ModelConfig config = nano_config();
  // Each layer has two norms of 128; embedding and head are 1024 x 128, the final norm is 128.
  const std::uint64_t norms = 2 * 4 * 2 * 128, matrices = 2 * linear_elements(config);
  const std::uint64_t ends = 2 * 2 * 1024 * 128, final_norm = 2 * 128;
  const auto loaded = [&](const std::string& mode, int ranks) {
    return loaded_bytes(config, make_plan(config, small_work(), mode, ranks, {.budget = 1u << 30}));
  };
  EXPECT_EQ(loaded("auto", 1), norms + matrices + ends + final_norm);
  EXPECT_EQ(loaded("layers", 2), norms + matrices + ends + final_norm);
  EXPECT_EQ(loaded("tensor", 2), 2 * norms + matrices + ends + 2 * final_norm);
  EXPECT_EQ(loaded("sequences", 2), 2 * (norms + matrices + ends + final_norm));
}

TEST(Throughput, CountsATiedHeadOnce) {
  ModelConfig config = nano_config();
  const Plan plan = make_plan(config, small_work(), "auto", 1, {.budget = 1u << 30});
  const std::uint64_t untied = loaded_bytes(config, plan);
  config.tie_word_embeddings = true;
  EXPECT_EQ(untied - loaded_bytes(config, plan), 2u * 1024 * 128);
}

BenchReport small_report() {
  BenchReport report;
  report.version = "1";
  report.model = "model";
  report.linear_elements = 5;
  report.backend = "cuda";
  report.places = {"a: gpu", "b: gpu"};
  report.partition = "tensor:2";
  report.microbatch = 8;
  report.chunks = 1;
  report.gemm_check = "fine";
  report.stages = {{"load", 2.0, 0, 0, 6000000000u},
                   {"forward", 4.0, 8000, 8e12, 0},
                   {"calibrate", 5.0, 8000, 8e12, 0}};
  report.profiles = {
      {"calibrate",
       1000,
       {0.01, {{"observe", 6, 0.002, 0, 4e9}, {"multiply 1x2x3", 4, 0.006, 3e12, 0}}}}};
  return report;
}

TEST(BenchReport, SaysWhatObserversCost) {
  EXPECT_DOUBLE_EQ(observer_percent(small_report().stages), 25.0);
}

TEST(BenchReport, IsOneJsonObjectWithoutFiguresThatDoNotApply) {
  const std::string text = bench_json(small_report());
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["ranks"], 2);
  ASSERT_EQ(json["stages"].size(), 3u);
  EXPECT_EQ(json["stages"][0],
            (nlohmann::json{
                {"stage", "load"}, {"seconds", 2.0}, {"bytes", 6000000000u}, {"gb_per_s", 3.0}}));
  EXPECT_EQ(json["stages"][1], (nlohmann::json{{"stage", "forward"},
                                               {"seconds", 4.0},
                                               {"tokens", 8000},
                                               {"tokens_per_s", 2000.0},
                                               {"tflops", 2.0},
                                               {"tflops_per_rank", 1.0}}));
  EXPECT_DOUBLE_EQ(json["stages"][2]["observer_percent"], 25.0);

  const auto& kernels = json["profiles"][0]["kernels"];
  ASSERT_EQ(kernels.size(), 3u);
  EXPECT_EQ(kernels[0]["kernel"], "multiply 1x2x3");  // the slowest
  EXPECT_DOUBLE_EQ(kernels[0]["share"], 0.6);
  EXPECT_DOUBLE_EQ(kernels[0]["tflops"], 500.0);
  EXPECT_FALSE(kernels[0].contains("gb_per_s"));
  EXPECT_DOUBLE_EQ(kernels[1]["gb_per_s"], 2000.0);
  EXPECT_EQ(kernels[2]["kernel"], "gathers and gaps");
  EXPECT_NEAR(kernels[2]["share"], 0.2, 1e-12);
  EXPECT_FALSE(kernels[2].contains("calls"));
}

TEST(BenchReport, IsReadable) {
  const std::string text = bench_text(small_report());
  EXPECT_THAT(text, HasSubstr("tensor:2 on 2 ranks, microbatch 8\n"));
  EXPECT_THAT(text, HasSubstr("per GPU"));
  EXPECT_THAT(text, HasSubstr("observers: +25.0 %\n"));
  EXPECT_THAT(text, HasSubstr("calibrate: one microbatch on rank 0, 1000 tokens, 10.000 ms\n"));
  EXPECT_THAT(text, HasSubstr("60.0 %    500.000\n"));
  EXPECT_THAT(text, Not(HasSubstr("streamed")));
  BenchReport streamed = small_report();
  streamed.backend = "cpu";
  streamed.chunks = 3;
  EXPECT_THAT(bench_text(streamed), HasSubstr("weights streamed in 3 chunks"));
  EXPECT_THAT(bench_text(streamed), HasSubstr("per rank"));
}

TEST(BenchCommand, TakesAJobItsKeysAndJson) {
  const CommandLine line =
      parse_command_line({"bench", "job.ini", "--json", "--calibration.samples", "8"});
  EXPECT_EQ(line.command, "bench");
  EXPECT_EQ(line.subject, "job.ini");
  EXPECT_TRUE(line.json);
  ASSERT_EQ(line.job.size(), 1u);
  EXPECT_FALSE(parse_command_line({"bench", "job.ini"}).json);
  EXPECT_THAT(help_text(""), HasSubstr("fp8cal bench JOB [--json]"));
  const auto refused = [](std::vector<std::string> words) {
    return error_text([&] { parse_command_line(words); });
  };
  EXPECT_THAT(refused({"bench", "j", "--calibration.sample", "3"}),
              HasSubstr("calibration.samples"));
  EXPECT_THAT(refused({"run", "j", "--json"}), HasSubstr("'--json' has no value"));
  EXPECT_THAT(refused({"bench", "j", "--ranks", "2"}), HasSubstr("unknown option"));
}

}  // namespace
}  // namespace fp8cal
