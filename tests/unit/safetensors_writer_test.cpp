#include "jobs/safetensors_writer.hpp"

#include <gtest/gtest.h>

#include "jobs/safetensors.hpp"

namespace fp8cal {
namespace {

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const std::vector<TensorLayout> tensors = {{"b", "BF16", {2, 3}, 12}, {"a", "F32", {1}, 4}};
  const std::string prefix = safetensors_prefix(tensors);
  EXPECT_EQ(prefix.size() % 8, 0u);

  const auto bytes = std::as_bytes(std::span(prefix));
  const std::uint64_t length = parse_header_length(bytes.first<8>(), prefix.size() + 16, "test");
  EXPECT_EQ(length, prefix.size() - 8);
  const SafetensorsHeader header = parse_safetensors_header(prefix.substr(8), 16, "test");
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[0].name, "b");  // in the order of the data
  EXPECT_EQ(header.tensors[0].shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(header.tensors[1].begin, 12u);
  EXPECT_EQ(header.tensors[1].end, 16u);
}

}  // namespace
}  // namespace fp8cal
