#include "sharding/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "kernels/backend.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/nano_config.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

ModelConfig llama_70b() {
  ModelConfig config;
  config.vocab_size = 128256;
  config.hidden_size = 8192;
  config.intermediate_size = 28672;
  config.num_hidden_layers = 80;
  config.num_attention_heads = 64;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  return config;
}

/// What DESIGN 10 recommends, with the microbatch left to the plan.
constexpr Workload kProtocol = {256, 2048, 141, 2048, 0};
constexpr Workload kWork = {.calibration_sequences = 16,
                            .calibration_length = 64,
                            .evaluation_windows = 5,
                            .evaluation_length = 128,
                            .microbatch = 1};
constexpr Device kPlenty = {.budget = 1ull << 40};

Device gpu(std::uint64_t gibibytes) {
  return {.budget = gibibytes << 30, .is_gpu = true, .dequantizes = false};
}

/// How often each row of each tensor is owned, over the ranks of one share of the sequences.
std::map<std::string, std::vector<int>> owners(const ModelConfig& config, const Plan& plan) {
  std::map<std::string, std::vector<int>> counts;
  for (const RankPlan& rank : plan.ranks) {
    if (rank.share != 0) continue;
    const auto count = [&](const WeightShard& shard) {
      if (shard.replicated && rank.slice != 0) return;
      std::vector<int>& rows = counts[shard.name];
      rows.resize(shard.total_rows());
      for (std::size_t r = shard.rows.first; r < shard.rows.end(); ++r) ++rows.at(r);
    };
    for (std::size_t layer = rank.layers.first; layer < rank.layers.end(); ++layer) {
      for (const auto& shard : layer_shards(config, layer, plan.grid.tensor, rank.slice)) {
        count(shard);
      }
    }
    if (rank.embeds) count(embedding_shard(config, plan.grid.tensor, rank.slice));
    if (rank.predicts) count(final_norm_shard(config));
    if (rank.predicts) count(head_shard(config, plan.grid.tensor, rank.slice));
  }
  return counts;
}

TEST(Plan, EveryRowOfEveryWeightIsOwnedOnce) {
  const ModelConfig config = nano_config();
  const std::pair<const char*, int> grids[] = {{"tensor", 1},
                                               {"tensor", 8},
                                               {"layers", 4},
                                               {"sequences", 5},
                                               {"layers:2+tensor:4", 8},
                                               {"layers:2+tensor:2+sequences:3", 12}};
  for (const auto& [mode, ranks] : grids) {
    const Plan plan = make_plan(config, kWork, mode, ranks, kPlenty);
    const auto counts = owners(config, plan);
    EXPECT_EQ(counts.size(), 4u * 9 + 3) << mode;
    for (const auto& [name, rows] : counts) {
      EXPECT_THAT(rows, testing::Each(1)) << mode << ' ' << name;
    }
  }
}

TEST(Plan, EverySequenceIsComputedOnceByEachStageAndSlice) {
  const Plan plan = make_plan(nano_config(), kWork, "layers:2+tensor:2+sequences:3", 12, kPlenty);
  std::map<std::pair<int, int>, std::vector<std::size_t>> calibration, evaluation;
  for (const RankPlan& rank : plan.ranks) {
    for (std::size_t s = rank.calibration.first; s < rank.calibration.end(); ++s) {
      calibration[{rank.stage, rank.slice}].push_back(s);
    }
    for (std::size_t s = rank.evaluation.first; s < rank.evaluation.end(); ++s) {
      evaluation[{rank.stage, rank.slice}].push_back(s);
    }
  }
  EXPECT_EQ(calibration.size(), 4u);
  for (const auto& [place, all] : calibration) EXPECT_EQ(all.size(), 16u);
  for (const auto& [place, all] : evaluation) {
    EXPECT_THAT(all, testing::ElementsAre(0, 1, 2, 3, 4));  // in rank order: NLLs are gathered so
  }
}

TEST(Plan, SlicesBeginAtRowBlocks) {
  for (int degree : tensor_degrees(llama_70b())) {
    for (const auto& shard : layer_shards(llama_70b(), 3, degree, degree - 1)) {
      EXPECT_EQ(shard.rows.first % kRowBlock, 0u) << shard.name;
    }
  }
}

TEST(Plan, RefusesRanksThatCannotBeUsedEvenly) {
  const auto refused = [](const char* mode, int ranks) {
    return error_text([&] { make_plan(nano_config(), kWork, mode, ranks, kPlenty); });
  };
  EXPECT_THAT(refused("tensor", 3), HasSubstr("expected 1, 2, 4, 8"));
  EXPECT_THAT(refused("tensor", 16), HasSubstr("found 16"));
  EXPECT_THAT(refused("layers", 3), HasSubstr("expected 1, 2, 4"));
  EXPECT_THAT(refused("sequences", 17), HasSubstr("at most 16"));
  EXPECT_THAT(refused("layers:2+tensor:2", 8), HasSubstr("a grid of 8 ranks"));
  EXPECT_THAT(refused("layers+tensor", 8), HasSubstr("two axes without a degree"));
  EXPECT_THAT(refused("tensor:2+tensor:4", 8), HasSubstr("given twice"));
  EXPECT_THAT(refused("rows", 2), HasSubstr("unknown axis 'rows'"));
  EXPECT_THAT(refused("tensor:x", 2), HasSubstr("bad degree"));
  EXPECT_THAT(refused("auto", 37), HasSubstr("no partition uses every rank"));
}

TEST(Plan, AutoPrefersSequencesWhereTheModelFits) {
  const Plan plan = make_plan(nano_config(), kWork, "auto", 8, kPlenty);
  EXPECT_EQ(plan.grid.sequences, 8);
  EXPECT_FALSE(plan.streams());
  EXPECT_THAT(plan.reason, HasSubstr("fit"));
}

TEST(Plan, AutoSpreads70BOverRanksThatHoldASliceOnly) {
  const Plan eight = make_plan(llama_70b(), kProtocol, "auto", 8, gpu(80));
  EXPECT_EQ(eight.grid.layers, 8);
  EXPECT_FALSE(eight.streams());
  // 24 GiB: no rank can hold an eighth; sequences with streamed weights do.
  const Plan small = make_plan(llama_70b(), kProtocol, "auto", 4, gpu(24));
  EXPECT_EQ(small.grid.sequences, 4);
  EXPECT_TRUE(small.streams());
  EXPECT_LE(small.memory.total(), 24ull << 30);
}

TEST(Plan, ChoosesTheMicrobatch) {
  // One on a CPU; on a GPU 32768 tokens.
  EXPECT_EQ(make_plan(llama_70b(), kProtocol, "auto", 1, kPlenty).work.microbatch, 1u);
  EXPECT_EQ(make_plan(llama_70b(), kProtocol, "auto", 1, gpu(1024)).work.microbatch, 16u);
  // A pipeline of 4 idles for 3 of its microbatches: it makes 64 of the 256 sequences.
  EXPECT_EQ(make_plan(llama_70b(), kProtocol, "layers", 4, gpu(120)).work.microbatch, 4u);
  // Never more than there are sequences, and what the job asks for goes before.
  Workload work = kProtocol;
  work.calibration_sequences = 3;
  EXPECT_EQ(make_plan(llama_70b(), work, "auto", 1, gpu(1024)).work.microbatch, 2u);
  work.microbatch = 5;
  EXPECT_EQ(make_plan(llama_70b(), work, "auto", 1, gpu(1024)).work.microbatch, 5u);
}

TEST(Plan, TakesASmallerMicrobatchRatherThanStream) {
  const Plan roomy = make_plan(llama_70b(), kProtocol, "tensor", 4, gpu(80));
  EXPECT_EQ(roomy.work.microbatch, 16u);
  EXPECT_FALSE(roomy.streams());
  const Plan tight = make_plan(llama_70b(), kProtocol, "tensor", 4, gpu(55));
  EXPECT_LT(tight.work.microbatch, 16u);
  EXPECT_FALSE(tight.streams());
}

TEST(Plan, StreamingKeepsTheNextLayersToo) {
  const Plan plan = make_plan(llama_70b(), kProtocol, "auto", 1, gpu(24));
  const std::uint64_t layer = bytes_of(layer_shards(llama_70b(), 0, 1, 0));
  const std::uint64_t ends = 2 * embedding_shard(llama_70b(), 1, 0).bytes();
  const std::uint64_t norm = llama_70b().hidden_size * 2;
  EXPECT_EQ(plan.memory.weights, 2 * plan.layers_at_once * layer + ends + norm);
  const std::uint64_t codes = (layer - 2 * norm) / 2;
  // q, k, v, o, gate, up and down; the four inputs; a head of keys and of values.
  const std::uint64_t rows = 8192 + 1024 + 1024 + 8192 + 28672 + 28672 + 8192;
  const std::uint64_t scales = 4 * (rows + 4 + 2 * 8);
  const std::uint64_t errors = 24 * rows;
  const std::uint64_t gathered = 2 * 24 * 28672;
  EXPECT_EQ(plan.memory.quantized, plan.layers_at_once * (codes + scales + errors) + gathered);
  Workload dequantizes = kProtocol;
  dequantizes.copy_bytes = 2;
  const std::uint64_t largest = 2 * llama_70b().intermediate_size * llama_70b().hidden_size;
  EXPECT_EQ(estimate_memory(llama_70b(), dequantizes, {}, 3, gpu(24)).quantized,
            3 * (2 * codes + scales + errors) + largest + gathered);
}

TEST(Plan, KeepsTheReferenceWhereThereIsRoom) {
  Workload work = kProtocol;
  work.compares = true;
  const std::uint64_t whole = 141 * 2048 * llama_70b().hidden_size * 2;
  const Plan roomy = make_plan(llama_70b(), work, "tensor", 4, gpu(141));
  EXPECT_TRUE(roomy.keeps_reference);
  EXPECT_EQ(roomy.memory.reference, whole);
  EXPECT_LE(roomy.memory.total(), gpu(141).budget);

  const Plan tight = make_plan(llama_70b(), work, "auto", 1, gpu(24));
  EXPECT_FALSE(tight.keeps_reference);
  EXPECT_EQ(tight.memory.reference, tight.work.max_tokens() * llama_70b().hidden_size * 2);

  const Plan shared = make_plan(llama_70b(), work, "sequences", 4, gpu(1024));
  EXPECT_EQ(shared.memory.reference, whole / 141 * 36);  // the largest share
  EXPECT_FALSE(make_plan(llama_70b(), kProtocol, "tensor", 4, gpu(141)).keeps_reference);
}

TEST(Plan, CountsWhatDequantizingNeeds) {
  Device old = gpu(24);
  const std::uint64_t usual = make_plan(nano_config(), kWork, "auto", 1, old).memory.total();
  old.dequantizes = true;
  EXPECT_EQ(make_plan(nano_config(), kWork, "auto", 1, old).memory.total(),
            usual + kDequantizedBytes);
}

TEST(Plan, SaysWhatWouldFit) {
  const auto refused = [](const char* mode, int ranks, std::uint64_t gibibytes) {
    return error_text([&] { make_plan(llama_70b(), kProtocol, mode, ranks, gpu(gibibytes)); });
  };
  // 40 layers and their FP8 copy take 102.7 GB, the embedding 2.1 GB, a sequence and CUDA the rest.
  EXPECT_EQ(
      refused("layers", 2, 16),
      "runtime.device_memory: the job does not fit on 2 ranks with partition.mode = layers: "
      "expected at least 99.5 GiB a rank, or 2 ranks with partition.mode = auto, found 16.0 GiB");
  EXPECT_THAT(refused("auto", 4, 1), HasSubstr("at least"));
  EXPECT_THAT(refused("auto", 4, 1), testing::Not(HasSubstr("with partition.mode = auto,")));
}

TEST(Grid, VocabularySlicesSuitEveryTensorDegree) {
  EXPECT_EQ(vocabulary_slices(1024), 16u);
  EXPECT_EQ(vocabulary_slices(128256), 16u);
  EXPECT_EQ(vocabulary_slices(32003), 1u);
  EXPECT_EQ(tensor_degrees(llama_70b()), (std::vector<int>{1, 2, 4, 8}));
}

TEST(Grid, ParsesAndNames) {
  EXPECT_EQ(parse_grid("layers:2+tensor", 8).tensor, 4);
  EXPECT_EQ(parse_grid("layers:2+tensor", 8).to_string(), "layers:2+tensor:4");
  EXPECT_EQ(parse_grid("tensor", 1).to_string(), "single");
}

TEST(Range, SharesCoverEverythingInOrder) {
  std::size_t next = 0;
  for (int i = 0; i < 7; ++i) {
    const Range share = share_of(17, 7, i);
    EXPECT_EQ(share.first, next);
    EXPECT_LE(share.count, 3u);
    next = share.end();
  }
  EXPECT_EQ(next, 17u);
}

}  // namespace
}  // namespace fp8cal
