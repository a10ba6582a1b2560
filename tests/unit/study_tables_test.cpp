#include "coordinator/study/study_tables.hpp"

#include <gmock/gmock.h>

#include <cmath>

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A figure over two windows of one prediction each, of BF16 1 nat and of the recipe `nats`.
StudyFigure figure(const std::string& dataset, std::uint64_t seed, std::size_t samples, double nats,
                   const std::string& policy = "amax") {
  return {.cell = 0,
          .dataset = dataset,
          .seed = seed,
          .samples = samples,
          .policy = policy,
          .recipe = "fp8-static",
          .bf16 = std::exp(1.0),
          .perplexity = std::exp(nats),
          .sums = {.base = {1, 1}, .variant = {nats, nats}, .tokens = 2}};
}

StudyFigures figures(std::vector<StudyFigure> all) {
  return {.digests = {}, .objections = {}, .all = std::move(all)};
}

TEST(StudyTables, MeanSpreadAndDeviation) {
  const auto tables = study_tables(
      figures({figure("a", 1, 8, 1.1), figure("a", 2, 8, 1.2), figure("b", 1, 8, 1.3)}), 5);
  ASSERT_EQ(tables.size(), 3u);
  const StudyTable& datasets = tables[0];
  EXPECT_EQ(datasets.name, "datasets");
  ASSERT_EQ(datasets.rows.size(), 2u);
  const StudyRow& row = datasets.rows[0];
  const double first = std::exp(1.1) - std::exp(1.0);
  const double second = std::exp(1.2) - std::exp(1.0);
  EXPECT_THAT(row.keys, ElementsAre("fp8-static", "a"));
  EXPECT_EQ(row.results, 2u);
  EXPECT_DOUBLE_EQ(row.difference, (first + second) / 2);
  EXPECT_DOUBLE_EQ(row.least, first);
  EXPECT_DOUBLE_EQ(row.most, second);
  EXPECT_NEAR(row.deviation, (second - first) / std::sqrt(2.0), 1e-15);
  ASSERT_TRUE(row.interval);  // equal windows leave no doubt
  EXPECT_NEAR(row.interval->low, row.difference, 1e-12);
  EXPECT_NEAR(row.interval->high, row.difference, 1e-12);
  EXPECT_EQ(datasets.rows[1].deviation, 0);
  EXPECT_THAT(datasets.notes, ElementsAre(HasSubstr("over 2 seeds")));
}

TEST(StudyTables, OnlyTheMostSamplesAndTheFirstPolicyWhereATableNamesNeither) {
  const auto tables = study_tables(figures({figure("a", 1, 4, 1.5), figure("a", 1, 4, 1.6, "mse"),
                                            figure("a", 1, 8, 1.1), figure("a", 1, 8, 1.2, "mse")}),
                                   5);
  ASSERT_EQ(tables[0].rows.size(), 1u);
  EXPECT_DOUBLE_EQ(tables[0].rows[0].difference, std::exp(1.1) - std::exp(1.0));
  EXPECT_THAT(tables[0].notes, ElementsAre(HasSubstr("other seeds were not tried")));
  ASSERT_EQ(tables[2].rows.size(), 2u);
  EXPECT_THAT(tables[2].rows[1].keys, ElementsAre("fp8-static", "mse"));
  EXPECT_DOUBLE_EQ(tables[2].rows[1].difference, std::exp(1.2) - std::exp(1.0));
}

TEST(StudyTables, SamplesThatStopMattering) {
  // Changes of perplexity to the most: -0.27, +0.030, 0.
  const auto settled = study_tables(
      figures({figure("a", 1, 8, 1.10), figure("a", 1, 16, 0.99), figure("a", 1, 32, 1.001)}),
      5)[1];
  ASSERT_EQ(settled.rows.size(), 3u);
  EXPECT_NEAR(*settled.rows[0].change, std::exp(1.001) - std::exp(1.1), 1e-12);
  EXPECT_NEAR(settled.rows[1].change_interval->high, *settled.rows[1].change, 1e-12);
  EXPECT_EQ(*settled.rows[2].change, 0);
  EXPECT_THAT(settled.notes, ElementsAre(HasSubstr("fp8-static: from 16 samples on")));
  const auto moving =
      study_tables(figures({figure("a", 1, 8, 1.0), figure("a", 1, 16, 1.1)}), 5)[1];
  EXPECT_THAT(moving.notes, ElementsAre("fp8-static: not settled before 16 samples"));
  // One that is near by chance before one that is not.
  const auto by_chance = study_tables(
      figures({figure("a", 1, 8, 1.1), figure("a", 1, 16, 1.3), figure("a", 1, 32, 1.1)}), 5)[1];
  EXPECT_THAT(by_chance.notes, ElementsAre("fp8-static: not settled before 32 samples"));
  EXPECT_TRUE(study_tables(figures({figure("a", 1, 8, 1.0)}), 5)[1].notes.empty());
}

TEST(StudyTables, AnIntervalThatIsWideIsNotSettled) {
  StudyFigure fewer = figure("a", 1, 8, 1.0);
  fewer.sums.variant = {0.8, 1.2};  // the same perplexity, from other windows
  const auto table = study_tables(figures({fewer, figure("a", 1, 16, 1.0)}), 5)[1];
  EXPECT_NEAR(*table.rows[0].change, 0, 1e-12);
  EXPECT_THAT(table.notes, ElementsAre("fp8-static: not settled before 16 samples"));
}

}  // namespace
}  // namespace fp8cal
