#include "jobs/json.hpp"

#include <gmock/gmock.h>

#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"
#include "tests/unit/test_data.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string parse_error(std::string_view text) {
  return error_text([&] { parse_json(text, "f.json"); });
}

TEST(ParseJson, BuildsTheSameDocumentAsTheLibrary) {
  const std::string text =
      R"({"a": [1, -2, 2.5, true, false, null, "x\u00e9\n"], "b": {"c": {}, "d": []}, "": 18446744073709551615})";
  EXPECT_EQ(parse_json(text, "f.json"), nlohmann::json::parse(text));
  EXPECT_EQ(parse_json(" 7 ", "f.json"), 7);
}

TEST(ParseJson, RefusesDuplicateKeysInAnyObject) {
  EXPECT_THAT(parse_error(R"({"a": 1, "b": 2, "a": 3})"),
              AllOf(StartsWith("f.json: "), HasSubstr("byte 20"), HasSubstr("\"a\"")));
  EXPECT_THAT(parse_error(R"([{"x": {"k": 1, "k": 1}}])"), HasSubstr("second \"k\""));
  EXPECT_THAT(parse_error(R"({"a": 1, "\u0061": 2})"), HasSubstr("second \"a\""));
  EXPECT_NO_THROW(parse_json(R"([{"k": 1}, {"k": {"k": 2}}])", "f.json"));
}

TEST(ParseJson, BoundsNesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth), "f.json"));
  EXPECT_THAT(parse_error(nested(kMaxJsonDepth + 1)), HasSubstr("nesting of at most 128"));
  EXPECT_THAT(parse_error(std::string(1'000'000, '[')), HasSubstr("nesting of at most 128"));
}

TEST(ParseJson, BoundsTheNumberOfValues) {
  std::string text = "[0";
  for (std::size_t i = 0; i < kMaxJsonValues; ++i) text += ",0";
  EXPECT_THAT(parse_error(text + "]"), HasSubstr("at most 8388608 values"));
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const std::string_view text :
       {"", "{", "{\"a\":1}x", "[1,]", "{\"a\" 1}", "nul", "\"\n\"", "1e999", "NaN", "{'a':1}"}) {
    EXPECT_THAT(parse_error(text),
                AllOf(StartsWith("f.json: JSON at byte "), HasSubstr("valid JSON")))
        << text;
  }
}

TEST(ParseJson, RefusesInvalidUtf8) {
  EXPECT_THAT(parse_error("{\"a\": \"\xff\"}"), HasSubstr("UTF-8"));
  EXPECT_THAT(parse_error("\"\xc0\xaf\""), HasSubstr("UTF-8"));      // overlong
  EXPECT_THAT(parse_error("\"\xed\xa0\x80\""), HasSubstr("UTF-8"));  // surrogate
  EXPECT_EQ(parse_json("\"\xc3\xa9\"", "f.json"), "\xc3\xa9");
}

TEST(ParseJson, RefusesTextAfterNul) {
  EXPECT_THAT(parse_error(std::string_view("{}\0{", 4)), HasSubstr("byte 2"));
}

TEST(ReadJsonFile, BoundsTheFileSize) {
  const TempFolder folder;
  const auto path = folder.write("a.json", "{\"a\": 1}");
  EXPECT_EQ(read_json_file(path, 8)["a"], 1);
  EXPECT_THAT(error_text([&] { read_json_file(path, 7); }),
              AllOf(HasSubstr(path.string()), HasSubstr("at most 7 bytes, found 8")));
}

TEST(ReadJsonFile, NamesAMissingFileAsBadInput) {
  const TempFolder folder;
  try {
    read_json_file(folder.path() / "none.json", 10);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_THAT(error.what(), HasSubstr("none.json"));
  }
}

TEST(ReadJsonFile, RefusesAFolder) {
  const TempFolder folder;
  EXPECT_THAT(error_text([&] { read_json_file(folder.path(), 10); }), HasSubstr("a regular file"));
}

TEST(ReadJsonFile, ReadsALargeTokenizer) {
  FP8CAL_DATA_OR_SKIP();
  const auto tokenizer = read_json_file(data_folder() / "llama31/tokenizer.json", 100'000'000);
  EXPECT_EQ(tokenizer["model"]["vocab"].size(), 128000u);
}

TEST(Getters, NameTheKeyTheExpectedAndTheFound) {
  const auto object = parse_json(R"({"n": 8, "f": 8.0, "s": "x", "b": true, "neg": -1})", "f.json");
  EXPECT_EQ(require_unsigned(object, "n", "f.json", 8, 8), 8u);
  EXPECT_EQ(error_text([&] { require_unsigned(object, "n", "f.json", 1, 7); }),
            "f.json: n: expected an integer from 1 to 7, found 8");
  EXPECT_THAT(error_text([&] { require_unsigned(object, "f", "f.json"); }), HasSubstr("found 8.0"));
  EXPECT_THAT(error_text([&] { require_unsigned(object, "neg", "f.json"); }),
              HasSubstr("found -1"));
  EXPECT_THAT(error_text([&] { require_unsigned(object, "x", "f.json"); }), HasSubstr("f.json: x"));
  EXPECT_EQ(require_number(object, "n", "f.json", 0, 9), 8.0);
  EXPECT_THAT(error_text([&] { require_number(object, "f", "f.json", 0, 1); }),
              HasSubstr("a number from 0 to 1, found 8.0"));
  EXPECT_EQ(require_string(object, "s", "f.json"), "x");
  EXPECT_THAT(error_text([&] { require_string(object, "b", "f.json"); }), HasSubstr("a string"));
  EXPECT_TRUE(require_bool(object, "b", "f.json"));
  EXPECT_THAT(error_text([&] { require_bool(object, "n", "f.json"); }), HasSubstr("true or false"));
  EXPECT_THAT(error_text([&] { require_object(object, "s", "f.json"); }), HasSubstr("an object"));
  EXPECT_THAT(error_text([&] { require_array(object, "s", "f.json"); }), HasSubstr("an array"));
  EXPECT_THAT(error_text([&] { require_string(object["s"], "k", "f.json"); }),
              HasSubstr("an object, found \"x\""));
}

TEST(InQuotes, GivesOneShortLineOfAscii) {
  EXPECT_EQ(in_quotes("a\nb\"\xc3\xa9"), R"("a\nb\"\u00e9")");
  EXPECT_EQ(in_quotes("\xff"), R"("\ufffd")");
  EXPECT_EQ(in_quotes(std::string(1000, 'x')).size(), 100u + 2 + 3);
}

}  // namespace
}  // namespace fp8cal
