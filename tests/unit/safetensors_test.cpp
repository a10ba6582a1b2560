#include "jobs/safetensors.hpp"

#include <gmock/gmock.h>

#include "tests/unit/error_text.hpp"
#include "tests/unit/safetensors_builder.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::HasSubstr;

SafetensorsHeader parse(const std::string& json, std::uint64_t data_bytes) {
  return parse_safetensors_header(json, data_bytes, "m.safetensors");
}

std::string parse_error(const std::string& json, std::uint64_t data_bytes) {
  return error_text([&] { parse(json, data_bytes); });
}

TEST(SafetensorsHeader, ListsTensorsInTheOrderOfTheirData) {
  const SafetensorsHeader header = parse(
      R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},
          "__metadata__":{"format":"pt"},
          "z":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},
          "a":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}   )",
      20);
  ASSERT_EQ(header.tensors.size(), 3u);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_TRUE(header.tensors[0].shape.empty());
  EXPECT_EQ(header.tensors[1].name, "z");
  EXPECT_EQ(header.tensors[2].name, "b");
  EXPECT_EQ(header.tensors[2].dtype, FileDType::bf16);
  EXPECT_EQ(header.tensors[2].shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(header.tensors[2].begin, 8u);
  EXPECT_EQ(header.tensors[2].end, 20u);
  EXPECT_EQ(header.metadata.at("format"), "pt");
}

TEST(SafetensorsHeader, AcceptsNoTensors) { EXPECT_TRUE(parse("{}", 0).tensors.empty()); }

TEST(SafetensorsHeader, KnowsEveryDTypeAndItsSize) {
  // Bytes of 8 elements.
  const std::pair<const char*, int> expected[] = {
      {"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E4M3", 8}, {"F8_E5M2", 8},
      {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16},    {"F16", 16},    {"BF16", 16},
      {"I32", 32},    {"U32", 32}, {"F32", 32},    {"F64", 64},    {"I64", 64},
      {"U64", 64},    {"C64", 64}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};
  for (const auto& [name, bytes] : expected) {
    const std::string json = std::string(R"({"x":{"dtype":")") + name +
                             R"(","shape":[8],"data_offsets":[0,)" + std::to_string(bytes) + "]}}";
    EXPECT_EQ(name_of(parse(json, bytes).tensors.at(0).dtype), name);
  }
}

TEST(SafetensorsHeader, RefusesElementsThatEndWithinAByte) {
  EXPECT_THAT(parse_error(R"({"x":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2),
              AllOf(HasSubstr("tensor \"x\""), HasSubstr("whole number of bytes")));
}

TEST(SafetensorsHeader, RefusesOverlap) {
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                              "b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                          7),
              AllOf(HasSubstr("m.safetensors"), HasSubstr("\"b\""), HasSubstr("overlaps"),
                    HasSubstr("expected begin at 4, found 3")));
}

TEST(SafetensorsHeader, RefusesTwoTensorsOnTheSameBytes) {
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                              "b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                          4),
              HasSubstr("overlaps"));
}

TEST(SafetensorsHeader, RefusesHoles) {
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                              "b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
                          9),
              AllOf(HasSubstr("\"b\""), HasSubstr("hole")));
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5),
              HasSubstr("hole"));
}

TEST(SafetensorsHeader, RefusesDataThatDoesNotEndWithTheFile) {
  const std::string json = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  EXPECT_NO_THROW(parse(json, 4));
  EXPECT_THAT(parse_error(json, 3), HasSubstr("truncated: expected 4 bytes"));
  EXPECT_THAT(parse_error(json, 5), HasSubstr("too long: expected 4 bytes"));
}

TEST(SafetensorsHeader, RefusesShapesThatOverflow) {
  // 2^32 * 2^32 wraps to 0 elements.
  EXPECT_THAT(
      parse_error(R"({"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                  0),
      HasSubstr("below 2^61"));
  // 2^62 elements of 4 bytes wrap to 0 bytes.
  EXPECT_THAT(
      parse_error(R"({"x":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0),
      HasSubstr("below 2^61"));
}

TEST(SafetensorsHeader, RefusesLengthsThatAreNotThoseOfTheShape) {
  EXPECT_THAT(parse_error(R"({"x":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,10]}})", 10),
              HasSubstr("bytes of BF16 [2, 3]: expected 12, found 10"));
  EXPECT_THAT(parse_error(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[4,2]}})", 4),
              HasSubstr("begin <= end, found [4, 2]"));
}

TEST(SafetensorsHeader, RefusesMalformedEntries) {
  const auto entry_error = [](const std::string& entry) {
    return parse_error("{\"x\":" + entry + "}", 4);
  };
  EXPECT_THAT(entry_error("5"), HasSubstr("an object"));
  EXPECT_THAT(entry_error("{}"), HasSubstr("dtype"));
  EXPECT_THAT(entry_error(R"({"dtype":"Q4","shape":[4],"data_offsets":[0,4]})"),
              HasSubstr("found \"Q4\""));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[4.0],"data_offsets":[0,4]})"),
              HasSubstr("shape: expected integers from 0 on, found 4.0"));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[-4],"data_offsets":[0,4]})"),
              HasSubstr("found -4"));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":4,"data_offsets":[0,4]})"),
              HasSubstr("an array"));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4,8]})"),
              HasSubstr("[begin, end]"));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1]})"),
              HasSubstr("found \"strides\""));
  EXPECT_THAT(entry_error(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,4]})"),
              HasSubstr("at most 8 dimensions, found 9"));
}

TEST(SafetensorsHeader, RefusesDuplicateKeys) {
  EXPECT_THAT(parse_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                              "a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                          8),
              HasSubstr("second \"a\""));
  EXPECT_THAT(
      parse_error(R"({"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 4),
      HasSubstr("second \"dtype\""));
}

TEST(SafetensorsHeader, RefusesMetadataThatIsNoMapOfStrings) {
  EXPECT_THAT(parse_error(R"({"__metadata__":[]})", 0), HasSubstr("an object"));
  EXPECT_THAT(parse_error(R"({"__metadata__":{"k":1}})", 0),
              AllOf(HasSubstr("__metadata__"), HasSubstr("\"k\""), HasSubstr("a string, found 1")));
}

TEST(SafetensorsHeader, RefusesAnotherFirstByte) {
  EXPECT_THAT(parse_error(" {}", 0), HasSubstr("{ as its first byte, found \" \""));
  EXPECT_THAT(parse_error("", 0), HasSubstr("found nothing"));
}

TEST(SafetensorsHeader, RefusesDeepNesting) {
  EXPECT_THAT(parse_error("{\"x\":" + std::string(10'000, '['), 0), HasSubstr("nesting"));
}

TEST(SafetensorsHeader, RefusesAbsurdNumbersOfTensors) {
  std::string json = "{\"t0\":0";
  for (std::size_t i = 1; i <= kMaxTensorsInFile; ++i) json += ",\"t" + std::to_string(i) + "\":0";
  EXPECT_THAT(parse_error(json + "}", 0), HasSubstr("number of tensors: expected at most 262144"));
}

class SafetensorsFileTest : public testing::Test {
 protected:
  std::string open_error(const std::string& bytes) {
    const auto path = folder_.write("m.safetensors", bytes);
    const std::string text = error_text([&] { SafetensorsFile::open(path); });
    EXPECT_THAT(text, HasSubstr(path.string()));
    return text;
  }

  TempFolder folder_;
  const std::string good_ =
      SafetensorsBuilder().add<std::uint8_t>("x", "U8", {4}, {10, 11, 12, 13}).bytes();
};

TEST_F(SafetensorsFileTest, ReadsBytesOfATensor) {
  const auto file = SafetensorsFile::open(folder_.write("m.safetensors", good_));
  std::array<std::byte, 2> bytes;
  file.read(file.header().tensors.at(0), 1, bytes);
  EXPECT_EQ(bytes[0], std::byte{11});
  EXPECT_EQ(bytes[1], std::byte{12});
}

TEST_F(SafetensorsFileTest, RefusesEveryTruncation) {
  for (std::size_t size = 0; size < good_.size(); ++size) open_error(good_.substr(0, size));
}

TEST_F(SafetensorsFileTest, RefusesTrailingBytes) {
  EXPECT_THAT(open_error(good_ + "x"), HasSubstr("too long"));
}

TEST_F(SafetensorsFileTest, RefusesHeaderLengthsBeyondTheFileOrTheFormat) {
  std::string bytes = good_;
  bytes[0] = static_cast<char>(bytes.size() - 8 + 1);
  EXPECT_THAT(open_error(bytes), HasSubstr("header length: expected at most"));
  EXPECT_THAT(open_error(std::string(8, '\xff') + "{}"), HasSubstr("found 18446744073709551615"));
}

TEST_F(SafetensorsFileTest, BoundsTheHeaderOfAHugeFile) {
  std::array<std::byte, 8> prefix = {std::byte{0x01}, std::byte{0xE1}, std::byte{0xF5},
                                     std::byte{0x05}};  // 100,000,001
  EXPECT_THAT(error_text([&] { parse_header_length(prefix, std::uint64_t{1} << 40, "m"); }),
              HasSubstr("at most 100000000, found 100000001"));
  prefix[0] = std::byte{0};
  EXPECT_EQ(parse_header_length(prefix, std::uint64_t{1} << 40, "m"), 100'000'000u);
}

TEST_F(SafetensorsFileTest, NoticesFlippedHeaderBytes) {
  std::string bytes = good_;
  bytes[8] = '[';
  EXPECT_THAT(open_error(bytes), HasSubstr("first byte"));
  bytes = good_;
  bytes[bytes.find("U8")] = 'V';
  EXPECT_THAT(open_error(bytes), HasSubstr("\"V8\""));
  bytes = good_;
  bytes[bytes.find("[4]") + 1] = '5';
  EXPECT_THAT(open_error(bytes), HasSubstr("expected 5, found 4"));
}

TEST_F(SafetensorsFileTest, NamesFileTensorAndBytesAfterTruncation) {
  const auto path = folder_.write("m.safetensors", good_);
  const auto file = SafetensorsFile::open(path);
  std::filesystem::resize_file(path, good_.size() - 1);
  std::array<std::byte, 4> bytes;
  const std::size_t begin = good_.size() - 4;
  EXPECT_THAT(
      error_text([&] { file.read(file.header().tensors.at(0), 0, bytes); }),
      AllOf(HasSubstr(path.string()), HasSubstr("tensor \"x\""),
            HasSubstr("bytes " + std::to_string(begin) + " to " + std::to_string(good_.size()))));
}

}  // namespace
}  // namespace fp8cal
