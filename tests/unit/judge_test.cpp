#include "coordinator/supervision/judge.hpp"

#include <gtest/gtest.h>

namespace fp8cal {
namespace {

Report report(std::uint64_t progress, bool waiting = false, const std::string& position = "") {
  return {.progress = progress, .waiting = waiting, .place = {}, .position = position};
}

/// Passes time in steps of a second, each after hear(); returns the first culprit and when.
template <class Hear>
std::optional<Culprit> verdict_within(Judge& judge, int seconds, int& when, const Hear& hear) {
  for (when = 1; when <= seconds; ++when) {
    hear(static_cast<std::uint64_t>(when));
    if (auto culprit = judge.pass(1)) return culprit;
  }
  return std::nullopt;
}

TEST(Judge, HasNothingAgainstRanksThatGetOn) {
  Judge judge(2, 3);
  int when = 0;
  EXPECT_FALSE(verdict_within(judge, 20, when, [&](std::uint64_t second) {
    judge.hear(0, report(second / 2));  // every other second
    judge.hear(1, report(second, true));
  }));
}

TEST(Judge, BlamesTheSilent) {
  Judge judge(3, 3);
  judge.hear(1, report(7, false, "in calibrate layers 0-3, layer 2"));
  int when = 0;
  const auto culprit = verdict_within(judge, 20, when, [&](std::uint64_t second) {
    judge.hear(0, report(second));
    judge.hear(2, report(second));
  });
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->rank, 1u);
  EXPECT_EQ(culprit->fault, "not heard of for 4 s, last in calibrate layers 0-3, layer 2");
  EXPECT_EQ(when, 4);  // 3 s are not too many yet
}

TEST(Judge, BlamesWhoNeverSaidAnything) {
  Judge judge(1, 3);
  EXPECT_FALSE(judge.pass(3));
  const auto culprit = judge.pass(0.5);
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->fault, "not heard of for 4 s, last at the start");  // 3.5, rounded
}

TEST(Judge, BlamesWhoStandsStillAndWaitsForNobody) {
  Judge judge(3, 3);
  int when = 0;
  const auto culprit = verdict_within(judge, 20, when, [&](std::uint64_t) {
    judge.hear(0, report(5, true));
    judge.hear(1, report(9, true));
    judge.hear(2, report(7, false, "in load layers 0-3"));
  });
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->rank, 2u);
  EXPECT_EQ(culprit->fault, "no progress for 4 s in load layers 0-3");
}

TEST(Judge, AllowsWaitingForOneThatGetsOn) {
  Judge judge(2, 3);
  int when = 0;
  EXPECT_FALSE(verdict_within(judge, 100, when, [&](std::uint64_t second) {
    judge.hear(0, report(second));
    judge.hear(1, report(1, true));
  }));
}

TEST(Judge, WhereAllWaitBlamesTheOneThatStoodStillFirst) {
  Judge judge(3, 3);
  int when = 0;
  const auto culprit = verdict_within(judge, 20, when, [&](std::uint64_t second) {
    judge.hear(0, report(std::min<std::uint64_t>(second, 6), true));
    judge.hear(1, report(100 + std::min<std::uint64_t>(second, 2), true, "in evaluate bf16"));
    judge.hear(2, report(std::min<std::uint64_t>(second, 5), true));
  });
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->rank, 1u);
  EXPECT_EQ(when, 10);  // rank 0 got on last, at 6
  EXPECT_EQ(culprit->fault,
            "no progress for 8 s, waiting for other ranks or its device, in evaluate bf16");
}

TEST(Judge, AmongThoseTheOneThatGotLeastDone) {
  Judge judge(3, 3);
  int when = 0;
  const auto culprit = verdict_within(judge, 20, when, [&](std::uint64_t) {
    judge.hear(0, report(6, true));
    judge.hear(1, report(5, true));
    judge.hear(2, report(5, true));
  });
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->rank, 1u);
}

TEST(Judge, ExpectsOfTheExcusedOnlyThatTheyAreThere) {
  Judge judge(3, 3);
  judge.excuse(1);
  judge.excuse(2);
  judge.dismiss(2);
  const auto hear = [&](std::uint64_t second) {
    judge.hear(0, report(second));
    if (second < 5) judge.hear(1, report(1));
  };
  int when = 0;
  const auto culprit = verdict_within(judge, 20, when, hear);
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->rank, 1u);
  EXPECT_EQ(when, 7);  // heard at the start of the fourth second: 3 s are over with the sixth
}

TEST(Judge, GivesThoseThatWaitedForTheExcusedTimeToGoOn) {
  Judge judge(2, 3);
  int when = 0;
  const auto culprit = verdict_within(judge, 20, when, [&](std::uint64_t second) {
    judge.hear(0, report(std::min<std::uint64_t>(second, 10)));
    if (second == 10) judge.excuse(0);
    judge.hear(1, report(1, true));
  });
  ASSERT_TRUE(culprit);
  EXPECT_EQ(culprit->rank, 1u);
  EXPECT_EQ(when, 14);
}

TEST(Judge, IsContentWhereAllAreExcused) {
  Judge judge(1, 3);
  judge.excuse(0);
  int when = 0;
  EXPECT_FALSE(
      verdict_within(judge, 20, when, [&](std::uint64_t) { judge.hear(0, report(1, true)); }));
}

}  // namespace
}  // namespace fp8cal
