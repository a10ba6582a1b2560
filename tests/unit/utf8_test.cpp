#include "jobs/utf8.hpp"

#include <gmock/gmock.h>

#include "jobs/byte_level.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::size_t kValid = std::string_view::npos;

TEST(Utf8, AcceptsEveryLengthAndTheBoundaries) {
  for (const char* text :
       {"", "plain ascii of some length", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
        "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(first_invalid_utf8(text), kValid) << text;
  }
  EXPECT_EQ(first_invalid_utf8(std::string_view("\0", 1)), kValid);
}

TEST(Utf8, RefusesWhatIsNotWellFormed) {
  for (const char* text : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41",
                           "\xE0\x9F\xBF", "\xE2\x82", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                           "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(first_invalid_utf8(text), 0U);
    EXPECT_EQ(first_invalid_utf8("12345678\xC3\xA9" + std::string(text)), 10U);
  }
}

TEST(Utf8, NamesPlaceAndByte) {
  EXPECT_THAT(error_text([] { check_utf8("abc\xFFz", "a.txt"); }),
              AllOf(StartsWith("a.txt: "), HasSubstr("byte 3"), HasSubstr("0xff")));
}

TEST(Utf8, KnowsTheBytesThatNeverOccur) {
  int occurring = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    occurring += occurs_in_utf8(static_cast<unsigned char>(byte)) ? 1 : 0;
  }
  EXPECT_EQ(occurring, 256 - 13);
  EXPECT_FALSE(occurs_in_utf8(0xC1));
  EXPECT_TRUE(occurs_in_utf8(0xF4));
}

TEST(ByteLevel, WritesBytesAsGpt2Does) {
  EXPECT_EQ(byte_level_character('a'), "a");
  EXPECT_EQ(byte_level_character(' '), "\u0120");
  EXPECT_EQ(byte_level_character('\n'), "\u010A");
  EXPECT_EQ(byte_level_character(0), "\u0100");
  EXPECT_EQ(byte_level_character(0x7F), "\u0121");
  EXPECT_EQ(byte_level_character(0xAD), "\u0143");
  EXPECT_EQ(byte_level_character(0xC3), "\u00C3");
  EXPECT_EQ(byte_level_character(0xFF), "\u00FF");
}

TEST(ByteLevel, DecodesItsOwnCharactersOnly) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    EXPECT_EQ(byte_level_decode(byte_level_character(value) + "x"),
              std::string({static_cast<char>(value), 'x'}));
  }
  for (const char* token : {" ", "\u00AD", "\u0144", "\u0400", "\u20AC", "\xC3"}) {
    EXPECT_EQ(byte_level_decode(token), std::nullopt) << token;
  }
}

}  // namespace
}  // namespace fp8cal
