#include "jobs/checkpoint.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <bit>
#include <thread>

#include "kernels/float_formats.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/safetensors_builder.hpp"
#include "tests/unit/temp_folder.hpp"
#include "tests/unit/test_data.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Shape = std::vector<std::uint64_t>;
using Halves = std::vector<std::uint16_t>;

Halves rows_of(const Checkpoint& checkpoint, const std::string& name, std::uint64_t first,
               std::uint64_t rows, std::size_t width) {
  Halves out(rows * width);
  checkpoint.read_rows(name, first, rows, out);
  return out;
}

class CheckpointTest : public testing::Test {
 protected:
  std::string open_error() {
    return error_text([&] { Checkpoint::open(folder_.path()); });
  }
  void write_single(const SafetensorsBuilder& builder) {
    folder_.write("model.safetensors", builder.bytes());
  }
  void write_index(const std::string& weight_map) {
    folder_.write("model.safetensors.index.json", "{\"weight_map\": " + weight_map + "}");
  }
  /// "a" [3, 2] in 1.safetensors, "b" [2] in 2.safetensors.
  void write_two_shards() {
    folder_.write("1.safetensors",
                  SafetensorsBuilder().add<std::uint16_t>("a", "BF16", {3, 2}, a_).bytes());
    folder_.write("2.safetensors",
                  SafetensorsBuilder().add<std::uint16_t>("b", "BF16", {2}, {7, 8}).bytes());
    write_index(R"({"a": "1.safetensors", "b": "2.safetensors"})");
  }

  TempFolder folder_;
  const Halves a_ = {1, 2, 3, 4, 5, 6};
};

TEST_F(CheckpointTest, ReadsRowsOfBf16AsTheyAre) {
  write_single(SafetensorsBuilder()
                   .add<std::uint16_t>("a", "BF16", {3, 2}, a_)
                   .add<std::uint16_t>("b", "BF16", {2}, {0x7FC1, 0xFF80}));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_EQ(rows_of(checkpoint, "a", 0, 3, 2), a_);
  EXPECT_THAT(rows_of(checkpoint, "a", 1, 1, 2), ElementsAre(3, 4));
  EXPECT_THAT(rows_of(checkpoint, "a", 3, 0, 2), ElementsAre());
  EXPECT_THAT(rows_of(checkpoint, "b", 0, 1, 2), ElementsAre(0x7FC1, 0xFF80));
  EXPECT_FALSE(checkpoint.converts());
  EXPECT_EQ(checkpoint.format(), "BF16");
}

TEST_F(CheckpointTest, RefusesRowsThatDoNotExistAndOutputsOfAnotherSize) {
  write_single(SafetensorsBuilder().add<std::uint16_t>("a", "BF16", {3, 2}, a_));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_THAT(error_text([&] { rows_of(checkpoint, "a", 2, 2, 2); }),
              AllOf(HasSubstr("\"a\""), HasSubstr("rows 2 to 4"), HasSubstr("[3, 2]")));
  EXPECT_THAT(error_text([&] { rows_of(checkpoint, "a", 4, 0, 2); }), HasSubstr("rows 4 to 4"));
  EXPECT_THAT(error_text([&] { rows_of(checkpoint, "a", 0, 1, 3); }), HasSubstr("3 elements"));
}

TEST_F(CheckpointTest, RoundsF32ToNearestEven) {
  const auto f32 = [](std::uint32_t bits) { return std::bit_cast<float>(bits); };
  write_single(SafetensorsBuilder().add<float>(
      "x", "F32", {2, 4},
      {1.0f, f32(0x3F808000), f32(0x3F818000), f32(0x3F808001),      // tie to even down, up, above
       -0.0f, f32(0x7F7FFFFF), f32(0x7F800000), f32(0x7FC00001)}));  // to infinity; inf; NaN
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_THAT(rows_of(checkpoint, "x", 0, 2, 4),
              ElementsAre(0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x8000, 0x7F80, 0x7F80, 0x7FC0));
  EXPECT_THAT(rows_of(checkpoint, "x", 1, 1, 4), ElementsAre(0x8000, 0x7F80, 0x7F80, 0x7FC0));
  EXPECT_TRUE(checkpoint.converts());
  EXPECT_EQ(checkpoint.format(), "F32 converted to BF16");
}

TEST_F(CheckpointTest, RoundsF16ToNearestEven) {
  write_single(SafetensorsBuilder()
                   .add<std::uint16_t>("x", "F16", {2, 3},
                                       {0x3C00, 0x3C04, 0x3C0C,   // 1; 1 + 2^-8 and 1 + 3 * 2^-8
                                        0xC000, 0x0001, 0x7C00})  // -2; 2^-24; infinity
                   .add<std::uint16_t>("y", "BF16", {1}, {5}));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_THAT(rows_of(checkpoint, "x", 0, 2, 3),
              ElementsAre(0x3F80, 0x3F80, 0x3F82, 0xC000, 0x3380, 0x7F80));
  EXPECT_TRUE(checkpoint.converts());
  EXPECT_EQ(checkpoint.format(), "BF16 and F16 converted to BF16");
}

TEST_F(CheckpointTest, ConvertsTensorsOfManyChunks) {
  std::vector<float> values(3 * 70'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write_single(SafetensorsBuilder().add<float>("x", "F32", {3, 70'000}, values));
  const Halves out = rows_of(Checkpoint::open(folder_.path()), "x", 1, 2, 70'000);
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(out[i], float_to_bf16(values[70'000 + i])) << i;
  }
}

TEST_F(CheckpointTest, IgnoresTheRotaryTableOfOldCheckpointsInItsFormat) {
  write_single(SafetensorsBuilder()
                   .add<std::uint16_t>("w", "BF16", {1}, {5})
                   .add<float>("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {1}, {1.0f}));
  EXPECT_EQ(Checkpoint::open(folder_.path()).format(), "BF16");
}

TEST_F(CheckpointTest, ExpectNamesWhatIsWrong) {
  write_single(SafetensorsBuilder()
                   .add<std::uint16_t>("a", "BF16", {3, 2}, a_)
                   .add<std::int64_t>("ids", "I64", {1}, {1}));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_EQ(checkpoint.expect("a", Shape{3, 2}).shape, (Shape{3, 2}));
  EXPECT_TRUE(checkpoint.contains("ids"));
  EXPECT_FALSE(checkpoint.contains("c"));
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "ids"));
  EXPECT_THAT(error_text([&] { checkpoint.expect("c", Shape{1}); }),
              AllOf(HasSubstr("tensor missing"), HasSubstr("\"c\"")));
  const auto shape_error = [&](const Shape& shape) {
    return error_text([&] { checkpoint.expect("a", shape); });
  };
  EXPECT_THAT(shape_error({2, 3}), AllOf(HasSubstr("model.safetensors"), HasSubstr("tensor \"a\""),
                                         HasSubstr("shape: expected [2, 3], found [3, 2]")));
  EXPECT_THAT(shape_error({3}), HasSubstr("expected [3], found [3, 2]"));
  EXPECT_THAT(shape_error({3, 2, 1}), HasSubstr("expected [3, 2, 1], found [3, 2]"));
  EXPECT_THAT(error_text([&] { checkpoint.expect("ids", Shape{1}); }),
              HasSubstr("dtype: expected BF16, F16 or F32, found I64"));
  EXPECT_THAT(error_text([&] { rows_of(checkpoint, "ids", 0, 1, 1); }), HasSubstr("found I64"));
}

TEST_F(CheckpointTest, OpensTheShardsOfAnIndex) {
  write_two_shards();
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b"));
  EXPECT_EQ(rows_of(checkpoint, "a", 0, 3, 2), a_);
  EXPECT_THAT(rows_of(checkpoint, "b", 0, 1, 2), ElementsAre(7, 8));
}

TEST_F(CheckpointTest, NamesMissingShards) {
  write_two_shards();
  std::filesystem::remove(folder_.path() / "2.safetensors");
  EXPECT_THAT(open_error(), AllOf(HasSubstr("index.json"), HasSubstr("shards missing"),
                                  HasSubstr("no \"2.safetensors\"")));
}

TEST_F(CheckpointTest, NamesATruncatedShard) {
  write_two_shards();
  const auto shard = folder_.path() / "1.safetensors";
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
  EXPECT_THAT(open_error(),
              AllOf(HasSubstr("1.safetensors"), HasSubstr("expected 12 bytes of tensor data")));
}

TEST_F(CheckpointTest, NamesATensorThatItsShardLacks) {
  write_two_shards();
  write_index(R"({"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"})");
  EXPECT_THAT(open_error(), AllOf(HasSubstr("2.safetensors"), HasSubstr("\"c\"")));
  write_index(R"({"a": "2.safetensors", "b": "2.safetensors"})");
  EXPECT_THAT(open_error(), AllOf(HasSubstr("2.safetensors"), HasSubstr("\"a\"")));
  write_index(R"({"a": "2.safetensors", "b": "1.safetensors"})");
  EXPECT_THAT(open_error(), AllOf(HasSubstr("2.safetensors"), HasSubstr("\"a\"")));
}

TEST_F(CheckpointTest, RefusesATensorInTwoShards) {
  write_two_shards();
  folder_.write("2.safetensors", SafetensorsBuilder()
                                     .add<std::uint16_t>("a", "BF16", {3, 2}, a_)
                                     .add<std::uint16_t>("b", "BF16", {2}, {7, 8})
                                     .bytes());
  EXPECT_THAT(open_error(),
              AllOf(HasSubstr("\"a\""), HasSubstr("1.safetensors"), HasSubstr("2.safetensors")));
}

TEST_F(CheckpointTest, RefusesShardsOutsideTheFolder) {
  write_two_shards();
  const std::string outside = (folder_.path() / "1.safetensors").string();
  for (const std::string& name :
       {outside, std::string("../1.safetensors"), std::string(".."), std::string("."),
        std::string(""), std::string("x/1.safetensors"), std::string("1.safetensors\\u0000")}) {
    write_index("{\"a\": \"" + name + "\"}");
    EXPECT_THAT(open_error(),
                AllOf(HasSubstr("shard of tensor \"a\""), HasSubstr("a file in the same folder")))
        << name;
  }
  write_index(R"({"a": 5})");
  EXPECT_THAT(open_error(), HasSubstr("found 5"));
}

TEST_F(CheckpointTest, RefusesIndexesWithoutTensorsOrWithTooManyShards) {
  write_index("{}");
  EXPECT_THAT(open_error(), HasSubstr("number of shards: expected 1 to 10000, found 0"));
  folder_.write("model.safetensors.index.json", "{}");
  EXPECT_THAT(open_error(), HasSubstr("weight_map"));
  nlohmann::json weight_map;
  for (int i = 0; i <= 10'000; ++i) weight_map[fmt::format("t{}", i)] = std::to_string(i);
  write_index(weight_map.dump());
  EXPECT_THAT(open_error(), HasSubstr("found 10001"));
}

TEST_F(CheckpointTest, SaysWhatAFolderShouldHold) {
  EXPECT_THAT(open_error(), HasSubstr("model.safetensors or model.safetensors.index.json"));
  EXPECT_THAT(error_text([&] { Checkpoint::open(folder_.path() / "none"); }),
              AllOf(HasSubstr("none"), HasSubstr("expected a folder, found nothing")));
  const auto file = folder_.write("file", "");
  EXPECT_THAT(error_text([&] { Checkpoint::open(file); }),
              HasSubstr("expected a folder, found a file"));
}

TEST_F(CheckpointTest, NamesFileTensorAndBytesWhenTruncatedAfterOpening) {
  write_single(SafetensorsBuilder().add<std::uint16_t>("a", "BF16", {3, 2}, a_));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  const auto file = folder_.path() / "model.safetensors";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 4);
  EXPECT_THAT(rows_of(checkpoint, "a", 0, 2, 2), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(error_text([&] { rows_of(checkpoint, "a", 1, 2, 2); }),
              AllOf(HasSubstr(file.string()), HasSubstr("tensor \"a\""), HasSubstr("ended early")));
}

TEST_F(CheckpointTest, KeepsReadingFilesThatWereRemoved) {
  write_single(SafetensorsBuilder().add<std::uint16_t>("a", "BF16", {3, 2}, a_));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  std::filesystem::remove(folder_.path() / "model.safetensors");
  EXPECT_EQ(rows_of(checkpoint, "a", 0, 3, 2), a_);
}

TEST_F(CheckpointTest, ReadsFromManyThreads) {
  std::vector<std::uint16_t> values(1000 * 64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint16_t>(i * 7);
  write_single(SafetensorsBuilder().add<std::uint16_t>("x", "F16", {1000, 64}, values));
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  const Halves whole = rows_of(checkpoint, "x", 0, 1000, 64);
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t row = t; row < 1000; row += equal.size()) {
        const Halves one = rows_of(checkpoint, "x", row, 1, 64);
        equal[t] += std::equal(one.begin(), one.end(), whole.begin() + row * 64);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(equal, ElementsAre(250, 250, 250, 250));
}

TEST(RealCheckpoint, SmallLlamaReadsAMiddleRangeAsOfTheWhole) {
  FP8CAL_DATA_OR_SKIP();
  const Checkpoint checkpoint = Checkpoint::open(data_folder() / "models/small-llama");
  EXPECT_EQ(checkpoint.format(), "BF16");
  const std::string name = "model.layers.3.mlp.down_proj.weight";
  checkpoint.expect(name, Shape{512, 1536});
  const Halves whole = rows_of(checkpoint, name, 0, 512, 1536);
  const Halves middle = rows_of(checkpoint, name, 100, 57, 1536);
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(), whole.begin() + 100 * 1536));
  EXPECT_NE(std::set(whole.begin(), whole.end()).size(), 1u);
  // 2 embeddings' worth, the final norm, and 9 tensors of each of 5 layers.
  EXPECT_EQ(checkpoint.names().size(), 3u + 5 * 9);
}

TEST(RealCheckpoint, NanoLlamaOpensAsASingleFile) {
  FP8CAL_DATA_OR_SKIP();
  const Checkpoint checkpoint = Checkpoint::open(data_folder() / "models/nano-llama");
  checkpoint.expect("lm_head.weight", Shape{1024, 128});
  EXPECT_EQ(checkpoint.names().size(), 3u + 4 * 9);
  EXPECT_FALSE(checkpoint.converts());
}

TEST(RealCheckpoint, Llama31IndexNamesItsMissingShards) {
  FP8CAL_DATA_OR_SKIP();
  const TempFolder folder;
  std::filesystem::copy_file(data_folder() / "llama31/70b.model.safetensors.index.json",
                             folder.path() / "model.safetensors.index.json");
  EXPECT_THAT(error_text([&] { Checkpoint::open(folder.path()); }),
              AllOf(HasSubstr("expected all 30"), HasSubstr("\"model-00001-of-00030.safetensors\""),
                    HasSubstr("and 22 more")));
}

}  // namespace
}  // namespace fp8cal
