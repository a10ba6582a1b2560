#include "jobs/pretokenizer.hpp"

#include <gmock/gmock.h>

#include "jobs/split_pattern.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/tiny_tokenizer.hpp"

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> split(const std::string& pattern, const std::string& text) {
  const Pretokenizer pretokenizer(pattern, "tokenizer.json");
  PieceCursor cursor(pretokenizer);
  cursor.start(text, 0);
  std::vector<std::string> pieces;
  while (const auto piece = cursor.next()) pieces.emplace_back(*piece);
  return pieces;
}

TEST(Pretokenizer, SplitsAsLlama3Does) {
  EXPECT_THAT(
      split(kLlama3Pattern, "Hello world, it's 12345!!\n\n  x"),
      ElementsAre("Hello", " world", ",", " it", "'s", " ", "123", "45", "!!\n\n", " ", " x"));
  EXPECT_THAT(split(kLlama3Pattern, "a   b \n c  "),
              ElementsAre("a", "  ", " b", " \n", " c", "  "));
  EXPECT_THAT(split(kLlama3Pattern, "don'T \u00e9t\u00e9"),
              ElementsAre("don", "'T", " \u00e9t\u00e9"));
  EXPECT_THAT(split(kLlama3Pattern, ""), ElementsAre());
}

TEST(Pretokenizer, KeepsTheGapsBetweenMatches) {
  EXPECT_THAT(split("b+", "abbcbd"), ElementsAre("a", "bb", "c", "b", "d"));
  EXPECT_THAT(split("b", "xyz"), ElementsAre("xyz"));
  EXPECT_THAT(split("(a)(b)", "abab"), ElementsAre("ab", "ab"));
}

TEST(Pretokenizer, StartsOverWithANewText) {
  const Pretokenizer pretokenizer("b", "tokenizer.json");
  PieceCursor cursor(pretokenizer);
  cursor.start("abb", 0);
  EXPECT_EQ(cursor.next(), "a");
  EXPECT_EQ(cursor.next(), "b");
  cursor.start("b", 0);
  EXPECT_EQ(cursor.next(), "b");
  EXPECT_EQ(cursor.next(), std::nullopt);
}

TEST(Pretokenizer, CountsUnicodesSpacesOnly) {
  // U+180E is no White_Space since Unicode 6.3, U+0085 and U+3000 are.
  EXPECT_THAT(split(R"(\s)", "a\u180Eb\u0085c\u3000d"),
              ElementsAre("a\u180Eb", "\u0085", "c", "\u3000", "d"));
  EXPECT_THAT(split(R"([\sx]+)", "a x\u180Ex"), ElementsAre("a", " x", "\u180E", "x"));
  EXPECT_THAT(split(R"(\S+)", " \u180Ea b"), ElementsAre(" ", "\u180Ea", " ", "b"));
}

TEST(Pretokenizer, StopsAPatternThatBacktracksWithoutEnd) {
  const Pretokenizer pretokenizer("(?:a|a)*b", "tokenizer.json");
  PieceCursor cursor(pretokenizer);
  const std::string text = std::string(64, 'a') + "cb";
  cursor.start(text, 1000);
  EXPECT_THAT(error_text([&] { cursor.next(); }), HasSubstr("text at byte 1000: cannot split"));
}

std::string refusal(const std::string& pattern) {
  return error_text([&] { Pretokenizer(pattern, "tokenizer.json"); });
}

TEST(Pretokenizer, RefusesPatternsItCannotUse) {
  EXPECT_THAT(refusal("a)"), HasSubstr("tokenizer.json: regex: expected a pattern that PCRE2"));
  EXPECT_THAT(refusal("a*"), HasSubstr("matches no empty text"));
  EXPECT_THAT(refusal("["), HasSubstr("PCRE2 compiles"));
}

TEST(SplitPattern, KeepsWhatBothLibrariesReadAlike) {
  for (
      const std::string pattern :
      {R"([^\r\n\p{L}\p{N}]?\p{Lu}+|\P{L}{1,3}|a{2,}b{3}|(?i:x)|(?:y)|(?=a)(?!b)(?<=c)(?<!d)|[a\]b]\+)",
       R"(a*+b++c?+)"}) {
    EXPECT_EQ(to_pcre2_pattern(pattern, "t"), pattern);
  }
}

TEST(SplitPattern, RefusesWhatTheyReadDifferently) {
  for (const char* pattern :
       {R"(\w)",     R"(\b)",   R"(\h)",   R"(\d)", "a.",      "^a",     "a$",
        "[a[b]]",    "[a&&b]",  "[]a]",    "[^]a]", R"([\S])", "(?m:a)", "(?<n>a)",
        "(?>a)",     "(*UTF)a", "a{,3}",   "a{2}+", "a{x}",    "a{2",    R"(\p{Han})",
        R"(\p{^L})", R"(\pL)",  R"(\p{L)", R"(a\)"}) {
    EXPECT_THAT(error_text([&] { to_pcre2_pattern(pattern, "t"); }), HasSubstr("t: regex at byte "))
        << pattern;
  }
}

}  // namespace
}  // namespace fp8cal
