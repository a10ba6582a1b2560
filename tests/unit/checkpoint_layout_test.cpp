#include "jobs/checkpoint_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fp8cal {
namespace {

using testing::ElementsAre;

/// Groups of 100, 40, 40, 40 and 10 bytes.
std::vector<std::vector<TensorLayout>> groups() {
  return {{tensor_layout("a", "BF16", {50})},
          {tensor_layout("b", "F8_E4M3", {4, 9}), tensor_layout("b.scale", "F32", {1})},
          {tensor_layout("c", "BF16", {20})},
          {tensor_layout("d", "BF16", {20})},
          {tensor_layout("e", "BF16", {5})}};
}

std::vector<std::size_t> groups_a_file(std::uint64_t bytes) {
  std::vector<std::size_t> counts;
  for (const CheckpointFile& file : lay_out_checkpoint(groups(), bytes)) {
    counts.push_back(file.groups);
  }
  return counts;
}

TEST(CheckpointLayout, FillsFilesWithWholeGroupsInOrder) {
  EXPECT_THAT(groups_a_file(80), ElementsAre(1, 2, 2));
  EXPECT_THAT(groups_a_file(79), ElementsAre(1, 1, 1, 2));
  EXPECT_THAT(groups_a_file(0), ElementsAre(1, 1, 1, 1, 1));
  EXPECT_THAT(groups_a_file(230), ElementsAre(5));
  EXPECT_TRUE(lay_out_checkpoint({}, 80).empty());
}

TEST(CheckpointLayout, NamesFilesAndPutsWideElementsFirst) {
  const std::vector<CheckpointFile> files = lay_out_checkpoint(groups(), 80);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[1].name, "model-00002-of-00003.safetensors");
  EXPECT_EQ(files[1].first_group, 1u);
  std::vector<std::string> order;
  for (const TensorLayout& tensor : files[1].tensors) order.push_back(tensor.name);
  EXPECT_THAT(order, ElementsAre("b.scale", "c", "b"));
}

TEST(CheckpointLayout, IndexMapsTensorsToFiles) {
  const auto index = nlohmann::json::parse(index_text(lay_out_checkpoint(groups(), 80)));
  EXPECT_EQ(index.at("metadata").at("total_size"), 230);
  EXPECT_EQ(index.at("weight_map").size(), 6u);
  EXPECT_EQ(index.at("weight_map").at("b.scale"), "model-00002-of-00003.safetensors");
  EXPECT_EQ(index.at("weight_map").at("e"), "model-00003-of-00003.safetensors");
}

TEST(CheckpointLayout, CountsBytes) {
  EXPECT_EQ(tensor_layout("x", "F32", {}).bytes, 4u);
  EXPECT_EQ(tensor_layout("x", "BF16", {3, 5}).bytes, 30u);
  EXPECT_THROW(tensor_layout("x", "I8", {1}), std::invalid_argument);
}

TEST(CheckpointLayout, KnowsFileNames) {
  EXPECT_TRUE(is_checkpoint_file_name("model.safetensors"));
  EXPECT_TRUE(is_checkpoint_file_name("model-00001-of-00163.safetensors"));
  EXPECT_FALSE(is_checkpoint_file_name("model-1-of-2.safetensors"));
  EXPECT_FALSE(is_checkpoint_file_name("model-00001-of-00163.safetensors.bak"));
  EXPECT_FALSE(is_checkpoint_file_name("adapter_model.safetensors"));
}

}  // namespace
}  // namespace fp8cal
