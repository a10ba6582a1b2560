#include "jobs/sampling.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::uint32_t> counting(std::size_t size) {
  std::vector<std::uint32_t> stream(size);
  std::iota(stream.begin(), stream.end(), 0);
  return stream;
}

std::vector<std::uint32_t> drawn_ids(std::size_t windows, std::size_t samples, std::uint64_t seed) {
  return draw_windows(counting(windows), 1, samples, seed, "text").sample_ids;
}

TEST(CutWindows, DropsTheRemainder) {
  const TokenWindows windows = cut_windows(counting(11), 3, std::nullopt, "text");
  EXPECT_EQ(windows.sequence_length, 3U);
  EXPECT_EQ(windows.windows(), 3U);
  EXPECT_EQ(windows.tokens, counting(9));
  EXPECT_EQ(cut_windows(counting(3), 3, std::nullopt, "text").tokens, counting(3));
}

TEST(CutWindows, TakesTheFirstWhereFewerAreAskedFor) {
  EXPECT_EQ(cut_windows(counting(11), 3, 2, "text").tokens, counting(6));
  EXPECT_EQ(cut_windows(counting(11), 3, 3, "text").tokens, counting(9));
}

TEST(CutWindows, SaysHowManyThereAre) {
  EXPECT_THAT(error_text([] { cut_windows(counting(2), 3, std::nullopt, "a.txt"); }),
              AllOf(HasSubstr("a.txt: text shorter than one window"),
                    HasSubstr("at least 3 tokens"), HasSubstr("found 2")));
  EXPECT_THAT(error_text([] { cut_windows({}, 3, std::nullopt, "a.txt"); }), HasSubstr("found 0"));
  EXPECT_THAT(error_text([] { cut_windows(counting(11), 3, 4, "a.txt"); }),
              AllOf(HasSubstr("the 3 that the text has"), HasSubstr("4 asked for")));
  EXPECT_THAT(error_text([] { cut_windows(counting(11), 3, 0, "a.txt"); }),
              HasSubstr("0 asked for"));
  EXPECT_THAT(error_text([] { cut_windows(counting(11), 0, std::nullopt, "a.txt"); }),
              HasSubstr("sequence length"));
}

// From a program in another language, after the description in sampling.hpp, whose MT19937-64 gives
// the 10,000th value that the C++ standard prescribes (9981545732273789042 from seed 5489).
TEST(DrawWindows, KeepsItsAlgorithm) {
  EXPECT_THAT(drawn_ids(10, 10, 1234), ElementsAre(2, 0, 8, 1, 5, 7, 4, 9, 6, 3));
  EXPECT_THAT(drawn_ids(1000, 8, 1234), ElementsAre(472, 641, 390, 61, 263, 862, 111, 834));
  EXPECT_THAT(drawn_ids(141, 8, 0), ElementsAre(120, 88, 57, 105, 78, 11, 34, 131));
  EXPECT_THAT(drawn_ids(1000, 5, UINT64_MAX), ElementsAre(820, 942, 539, 904, 866));
  EXPECT_THAT(drawn_ids(1 << 20, 4, 7), ElementsAre(448935, 855676, 640862, 483109));
}

TEST(DrawWindows, GivesTheWindowsInTheOrderDrawn) {
  const DrawnWindows drawn = draw_windows(counting(22), 2, 3, 1234, "text");
  ASSERT_EQ(drawn.sample_ids.size(), 3U);
  ASSERT_EQ(drawn.windows.windows(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(drawn.windows.tokens[2 * i], 2 * drawn.sample_ids[i]);
    EXPECT_EQ(drawn.windows.tokens[2 * i + 1], 2 * drawn.sample_ids[i] + 1);
  }
}

TEST(DrawWindows, DrawsWithoutReplacementAndExtendsWithTheCount) {
  std::vector<std::uint32_t> all = drawn_ids(500, 500, 3);
  const std::vector<std::uint32_t> fewer = drawn_ids(500, 20, 3);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), all.begin()));
  EXPECT_NE(all, drawn_ids(500, 500, 4));
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, counting(500));
}

TEST(DrawWindows, FavoursNoWindow) {
  std::vector<int> counts(5);
  for (std::uint64_t seed = 0; seed < 5000; ++seed) ++counts[drawn_ids(5, 1, seed)[0]];
  // 1000 expected each; 5 standard deviations are 141.
  for (const int count : counts) EXPECT_NEAR(count, 1000, 141);
}

TEST(DrawWindows, SaysHowManyThereAre) {
  EXPECT_THAT(error_text([] { draw_windows(counting(20), 4, 6, 1, "a.txt"); }),
              AllOf(HasSubstr("a.txt: windows of 4 tokens"), HasSubstr("the 5 that the text has"),
                    HasSubstr("6 asked for")));
  EXPECT_THAT(error_text([] { draw_windows(counting(20), 4, 0, 1, "a.txt"); }),
              HasSubstr("0 asked for"));
  EXPECT_THAT(error_text([] { draw_windows(counting(3), 4, 1, 1, "a.txt"); }),
              HasSubstr("shorter than one window"));
}

}  // namespace
}  // namespace fp8cal
