#include "coordinator/timeline.hpp"

#include <gtest/gtest.h>

namespace fp8cal {
namespace {

TEST(Timeline, KeepsStagesInTheirOrder) {
  Timeline timeline(10);
  timeline.begin("load", "layers", 4, 0);
  timeline.advance(4);
  timeline.end();
  timeline.begin("calibrate", "sequences", 8, 64);
  timeline.advance(3);
  timeline.advance(5);
  timeline.end();
  timeline.begin("collect");
  timeline.end();
  ASSERT_EQ(timeline.entries().size(), 3U);
  EXPECT_EQ(timeline.entries()[0].stage, "load");
  EXPECT_EQ(timeline.entries()[0].tokens, 0U);
  EXPECT_EQ(timeline.entries()[1].stage, "calibrate");
  EXPECT_EQ(timeline.entries()[1].tokens, 512U);
  EXPECT_EQ(timeline.entries()[2].tokens, 0U);
  double before = 0;
  for (const Timeline::Entry& one : timeline.entries()) {
    EXPECT_LE(before, one.begin);
    EXPECT_LE(one.begin, one.end);
    before = one.end;
  }
}

TEST(Timeline, TheLastEntryStandsForAllThatFollow) {
  Timeline timeline(2);
  for (const char* stage : {"load", "calibrate", "evaluate", "collect"}) {
    timeline.begin(stage, "sequences", 2, 10);
    timeline.advance(2);
    timeline.end();
  }
  ASSERT_EQ(timeline.entries().size(), 2U);
  EXPECT_EQ(timeline.entries()[0].stage, "load");
  EXPECT_EQ(timeline.entries()[0].tokens, 20U);
  EXPECT_EQ(timeline.entries()[1].stage, "further stages");
  EXPECT_EQ(timeline.entries()[1].tokens, 60U);
  EXPECT_LE(timeline.entries()[0].end, timeline.entries()[1].begin);
}

TEST(Timeline, EndsWithoutABeginningAreIgnored) {
  Timeline timeline(1);
  timeline.advance(1);
  timeline.end();
  EXPECT_TRUE(timeline.entries().empty());
}

TEST(Timeline, AResultHasABoundedNumberOfEntries) {
  EXPECT_EQ(timeline_entries(1), 20'000U);
  EXPECT_EQ(timeline_entries(8), 2'500U);
  EXPECT_EQ(timeline_entries(30'000), 1U);
}

}  // namespace
}  // namespace fp8cal
