#include "jobs/safetensors_writer.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "jobs/safetensors.hpp"
#include "tests/unit/temp_folder.hpp"

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

TEST(SafetensorsWriter, WritesTensorsPieceByPiece) {
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "model.safetensors";
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  {
    SafetensorsWriter writer(path, {{"a", "BF16", {2}, 4}, {"b", "BF16", {3}, 6}});
    writer.write("b", 2, bytes("CDEF"));
    writer.write("a", 0, bytes("abcd"));
    writer.write("b", 0, bytes("AB"));
    EXPECT_THROW(writer.write("b", 3, bytes("CDEF")), std::out_of_range);
    EXPECT_THROW(writer.write("b", 7, bytes("")), std::out_of_range);
    EXPECT_THROW(writer.write("c", 0, bytes("x")), std::out_of_range);
    writer.finish();
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.commit();
  }
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::string data(6, ' ');
  file.read(file.header().tensors.at(1), 0, std::as_writable_bytes(std::span(data)));
  EXPECT_EQ(data, "ABCDEF");
}

TEST(SafetensorsWriter, LeavesNothingWithoutACommit) {
  const TempFolder folder;
  { SafetensorsWriter(folder.path() / "x", {{"a", "F32", {1}, 4}}).finish(); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace fp8cal
