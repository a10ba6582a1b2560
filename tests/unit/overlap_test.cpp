#include "coordinator/protocol/overlap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

#include "coordinator/protocol/overlap_check.hpp"
#include "jobs/job.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using Ids = std::vector<std::uint32_t>;

/// `count` different tokens from `first` on.
Ids text(std::uint32_t first, std::size_t count) {
  Ids ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

/// `ids` with `part` from `at` on.
Ids with(Ids ids, const Ids& part, std::size_t at) {
  std::ranges::copy(part, ids.begin() + static_cast<std::ptrdiff_t>(at));
  return ids;
}

Ids repeated(const Ids& period, std::size_t count) {
  Ids ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = period[i % period.size()];
  return ids;
}

Overlap overlap(const Ids& calibration, std::size_t length, const Ids& evaluation,
                std::size_t window) {
  return find_overlap({length, calibration}, {window, evaluation});
}

TEST(Overlap, NoneInDifferentTexts) {
  const Overlap found = overlap(text(0, 200), 50, text(1000, 300), 100);
  EXPECT_EQ(found.grams, 0U);
  EXPECT_EQ(found.tokens, 0U);
  EXPECT_EQ(found.evaluation_tokens, 300U);
  EXPECT_FALSE(found.beyond_chance());
}

TEST(Overlap, OneGram) {
  const Ids evaluation = with(text(1000, 300), text(60, 32), 210);
  const Overlap found = overlap(text(0, 200), 50, evaluation, 100);
  EXPECT_EQ(found.grams, 1U);
  EXPECT_EQ(found.tokens, 32U);
  EXPECT_EQ(found.evaluation.window, 2U);
  EXPECT_EQ(found.evaluation.position, 10U);
  EXPECT_EQ(found.calibration.window, 1U);
  EXPECT_EQ(found.calibration.position, 10U);
}

TEST(Overlap, ThirtyOneTokensAreNone) {
  EXPECT_EQ(overlap(text(0, 200), 50, with(text(1000, 300), text(60, 31), 210), 100).grams, 0U);
}

TEST(Overlap, CalibrationSequencesEndAtTheirBorders) {
  // 32 tokens of which one is in the next sequence, which was drawn from elsewhere in its text.
  EXPECT_EQ(overlap(text(0, 200), 50, with(text(1000, 300), text(19, 32), 210), 100).grams, 0U);
  EXPECT_EQ(overlap(text(0, 200), 50, with(text(1000, 300), text(18, 32), 210), 100).grams, 1U);
}

TEST(Overlap, EvaluationWindowsGoOn) {
  const Overlap found = overlap(text(0, 200), 50, with(text(1000, 300), text(60, 32), 90), 100);
  EXPECT_EQ(found.grams, 1U);
  EXPECT_EQ(found.evaluation.window, 0U);
  EXPECT_EQ(found.evaluation.position, 90U);
  EXPECT_EQ(overlap(text(0, 200), 50, text(50, 48), 16).tokens, 48U);  // windows of half an n-gram
}

TEST(Overlap, TokensInSeveralGramsCountOnce) {
  const Overlap found = overlap(text(0, 100), 100, with(text(1000, 300), text(30, 40), 0), 100);
  EXPECT_EQ(found.grams, 9U);
  EXPECT_EQ(found.tokens, 40U);
}

TEST(Overlap, ThePlaceIsTheFirstOne) {
  Ids calibration = text(0, 150);
  calibration = with(calibration, text(0, 40), 100);
  const Ids evaluation = with(with(text(1000, 300), text(0, 32), 250), text(0, 32), 120);
  const Overlap found = overlap(calibration, 50, evaluation, 100);
  EXPECT_EQ(found.grams, 2U);
  EXPECT_EQ(found.evaluation.window, 1U);
  EXPECT_EQ(found.evaluation.position, 20U);
  EXPECT_EQ(found.calibration.window, 0U);
  EXPECT_EQ(found.calibration.position, 0U);
}

TEST(Overlap, EveryWindow) {
  const Overlap found = overlap(text(0, 4096), 512, text(0, 4096), 1024);
  EXPECT_EQ(found.tokens, 4096U);
  EXPECT_EQ(found.grams, 8 * (512 - 31U));
  EXPECT_TRUE(found.beyond_chance());
}

TEST(Overlap, RepetitionSaysNothing) {
  const Ids one = repeated({7}, 2048);
  EXPECT_EQ(overlap(one, 512, one, 512).grams, 0U);
  const Ids eleven = repeated(text(0, kDistinctTokens - 1), 2048);
  EXPECT_EQ(overlap(eleven, 512, eleven, 512).grams, 0U);
  const Ids twelve = repeated(text(0, kDistinctTokens), 2048);
  EXPECT_EQ(overlap(twelve, 512, twelve, 512).tokens, 2048U);
}

TEST(Overlap, NothingToCompare) {
  EXPECT_EQ(find_overlap({}, {}).tokens, 0U);
  EXPECT_EQ(find_overlap({}, {64, text(0, 128)}).tokens, 0U);
  EXPECT_EQ(find_overlap({64, text(0, 128)}, {}).tokens, 0U);
  EXPECT_EQ(overlap(text(0, 310), 31, text(0, 310), 310).tokens, 0U);
  EXPECT_FALSE(find_overlap({}, {}).beyond_chance());
}

TEST(Overlap, LargeIdsAreTokensLikeOthers) {
  constexpr std::uint32_t kLast = 0xFFFFFFFF;
  Ids ids = text(0, 40);
  std::ranges::transform(ids, ids.begin(), [](std::uint32_t id) { return kLast - id; });
  EXPECT_EQ(overlap(ids, 40, ids, 40).tokens, 40U);
}

TEST(Overlap, ChanceGrowsWithTheText) {
  Overlap found{
      .grams = 1, .tokens = 33, .evaluation_tokens = 2048, .evaluation = {}, .calibration = {}};
  EXPECT_TRUE(found.beyond_chance());
  found.evaluation_tokens = 165'000;
  EXPECT_FALSE(found.beyond_chance());
  found.tokens = 34;
  EXPECT_TRUE(found.beyond_chance());
}

TEST(OverlapCheck, StopsSaysWhereAndMarks) {
  const TokenWindows calibration{50, text(0, 200)};
  const TokenWindows evaluation{100, with(text(1000, 300), text(60, 40), 150)};
  Job job;
  job.calibration.dataset = "train.txt";
  job.evaluation.dataset = "test.txt";
  EXPECT_EQ(error_text([&] { check_overlap(job, calibration, evaluation); }),
            "train.txt: overlaps the evaluation text, test.txt: expected at most 32 of 300 "
            "evaluation tokens in 32-grams of the calibration text, found 40 in 9 of them, the "
            "first at evaluation window 1, position 50, and calibration sequence 1, position 10; "
            "--allow-overlap goes on and marks the result as not reportable");
  job.evaluation.allow_overlap = true;
  const std::string mark = check_overlap(job, calibration, evaluation);
  EXPECT_EQ(mark, "40 of 300 evaluation tokens lie in 32-grams of the calibration text");
  EXPECT_EQ(overlap_mark(calibration, evaluation), mark);
  EXPECT_EQ(not_reportable({{kOverlapAttribute, mark}}),
            "not reportable: calibration and evaluation text overlap");
}

TEST(OverlapCheck, AllowingChangesNothingWhereNothingOverlaps) {
  const TokenWindows calibration{50, text(0, 200)};
  const TokenWindows evaluation{100, text(1000, 300)};
  Job job;
  EXPECT_EQ(check_overlap(job, calibration, evaluation), "");
  job.evaluation.allow_overlap = true;
  EXPECT_EQ(check_overlap(job, calibration, evaluation), "");
  EXPECT_EQ(not_reportable({{"numerics", "cpu-1"}}), "");
}

TEST(OverlapSpeed, AMillionTokensAgainst300Thousand) {
  std::mt19937 generator(1);
  std::uniform_int_distribution<std::uint32_t> token(0, 127'999);
  TokenWindows calibration{2048, Ids(512 * 2048)};
  TokenWindows evaluation{2048, Ids(147 * 2048)};
  for (std::uint32_t& id : calibration.tokens) id = token(generator);
  for (std::uint32_t& id : evaluation.tokens) id = token(generator);
  std::copy_n(calibration.tokens.begin() + 4096, 2048, evaluation.tokens.begin() + 100'000);
  const auto begin = std::chrono::steady_clock::now();
  const Overlap found = find_overlap(calibration, evaluation);
  const auto time = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(found.tokens, 2048U);
  EXPECT_LT(std::chrono::duration<double>(time).count(), 5.0);
}

}  // namespace
}  // namespace fp8cal
