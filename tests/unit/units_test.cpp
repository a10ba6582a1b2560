#include "sharding/units.hpp"

#include <gtest/gtest.h>

namespace fp8cal {
namespace {

Plan plan_of(int shares, std::size_t microbatch) {
  Plan plan;
  plan.grid.sequences = shares;
  plan.work.microbatch = microbatch;
  return plan;
}

Ranges sequences_of(const std::vector<Unit>& units) {
  Ranges all;
  for (const Unit& unit : units) all.push_back(unit.sequences);
  return all;
}

TEST(Ranges, JoinWhatTouches) {
  EXPECT_EQ(joined({{0, 2}, {8, 1}}, {{2, 3}, {20, 0}}), (Ranges{{0, 5}, {8, 1}}));
  EXPECT_EQ(joined({}, {}), Ranges{});
}

TEST(Ranges, TellWhatIsMissing) {
  EXPECT_EQ(missing_from({{2, 3}, {7, 1}}, 10), (Ranges{{0, 2}, {5, 2}, {8, 2}}));
  EXPECT_EQ(missing_from({{0, 10}}, 10), Ranges{});
  EXPECT_EQ(missing_from({}, 4), (Ranges{{0, 4}}));
}

TEST(Ranges, HaveParts) {
  const Ranges ranges = {{0, 2}, {5, 2}, {8, 2}};
  EXPECT_EQ(part_of(ranges, {1, 4}), (Ranges{{1, 1}, {5, 2}, {8, 1}}));
  EXPECT_EQ(part_of(ranges, {6, 0}), Ranges{});
}

TEST(Units, AreMicrobatchesOfAShare) {
  const Units units = passes_over({{0, 10}}, plan_of(2, 2), 1).front();
  EXPECT_EQ(sequences_of(units.own), (Ranges{{5, 2}, {7, 2}, {9, 1}}));
  EXPECT_EQ(units.own[2].position, 4u);
  EXPECT_EQ(units.most, 3u);
  EXPECT_EQ(units.sequences, 10u);
}

TEST(Units, EndWhereARunEnds) {
  const Units units = passes_over({{1, 3}, {8, 2}}, plan_of(1, 2), 0).front();
  EXPECT_EQ(sequences_of(units.own), (Ranges{{1, 2}, {3, 1}, {8, 2}}));
  EXPECT_EQ(units.own[2].position, 3u);
}

TEST(Units, ComeInPasses) {
  const std::vector<Units> passes = passes_over({{0, 7}}, plan_of(2, 1), 0, 3);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(sequences_of(passes[0].own), (Ranges{{0, 1}, {1, 1}, {2, 1}}));
  EXPECT_EQ(passes[0].sequences, 6u);
  // The other share has a fourth sequence, this one has not.
  EXPECT_TRUE(passes[1].own.empty());
  EXPECT_EQ(passes[1].most, 1u);
  EXPECT_EQ(passes[1].sequences, 1u);
}

TEST(Units, AreOneEmptyPassWhereNothingIsLeft) {
  const std::vector<Units> passes = passes_over({}, plan_of(3, 2), 1, 4);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_EQ(passes[0].most, 0u);
  EXPECT_TRUE(passes[0].own.empty());
}

TEST(Units, OfAllSharesAreDoneTogether) {
  const Ranges left = {{0, 10}};
  EXPECT_EQ(done_after(1, left, plan_of(2, 2)), (Ranges{{0, 2}, {5, 2}}));
  EXPECT_EQ(done_after(3, left, plan_of(2, 2)), (Ranges{{0, 10}}));
  EXPECT_EQ(done_after(0, left, plan_of(2, 2)), Ranges{});
}

}  // namespace
}  // namespace fp8cal
