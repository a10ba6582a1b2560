#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "sharding/groups.hpp"
#include "sharding/mpi_collectives.hpp"
#include "tests/unit/nano_config.hpp"

namespace fp8cal {
namespace {

TEST(MpiCollectives, GathersInRankOrder) {
  MpiCollectives all(MPI_COMM_WORLD, 0, 0);
  const std::vector<std::uint16_t> own(3, static_cast<std::uint16_t>(all.rank()));
  std::vector<std::uint16_t> gathered(3 * static_cast<std::size_t>(all.size()), 0xABAB);
  all.all_gather(own.data(), gathered.data(), own.size() * 2);
  for (std::size_t i = 0; i < gathered.size(); ++i) EXPECT_EQ(gathered[i], i / 3);
}

TEST(MpiCollectives, ReducesByMaximumAndIntegerSum) {
  MpiCollectives all(MPI_COMM_WORLD, 0, 0);
  const auto rank = static_cast<std::uint32_t>(all.rank());
  const auto size = static_cast<std::uint32_t>(all.size());
  std::vector<std::uint32_t> maxima = {rank, size - rank, 0xFFFFFFFFu};
  all.all_max(maxima.data(), maxima.size());
  EXPECT_THAT(maxima, testing::ElementsAre(size - 1, size, 0xFFFFFFFFu));

  std::vector<std::uint64_t> sums = {std::uint64_t{1} << 40, rank};
  all.all_sum(sums.data(), sums.size());
  EXPECT_THAT(sums, testing::ElementsAre((std::uint64_t{1} << 40) * size, size * (size - 1) / 2));

  std::vector<std::uint32_t> words = {rank == 0 ? 0x8000BEEFu : 0u};
  all.all_sum(words.data(), words.size());
  EXPECT_EQ(words[0], 0x8000BEEFu);
}

TEST(MpiCollectives, PassesMessagesAlongAChain) {
  MpiCollectives all(MPI_COMM_WORLD, 0, 0);
  std::vector<std::uint16_t> message(100000, 1);
  if (all.rank() > 0) all.receive(message.data(), message.size() * 2, all.rank() - 1);
  for (std::uint16_t& value : message) ++value;
  if (all.rank() + 1 < all.size()) all.send(message.data(), message.size() * 2, all.rank() + 1);
  EXPECT_THAT(message, testing::Each(all.rank() + 2));
}

TEST(Groups, FollowTheGrid) {
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const Workload work = {8, 16, 8, 16, 1};
  const auto backend = make_backend({"cpu", 1});
  const char* mode = ranks == 8   ? "layers:2+sequences:2+tensor:2"
                     : ranks == 4 ? "layers:2+tensor:2"
                     : ranks == 2 ? "tensor"
                                  : "auto";
  const Plan plan = make_plan(nano_config(), work, mode, ranks, {.budget = std::uint64_t{1} << 40});
  const Groups groups = make_groups(MPI_COMM_WORLD, plan, *backend);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const RankPlan& own = plan.ranks[static_cast<std::size_t>(rank)];
  EXPECT_EQ(groups.slices->size(), plan.grid.tensor);
  EXPECT_EQ(groups.slices->rank(), own.slice);
  EXPECT_EQ(groups.stage->size(), plan.grid.tensor * plan.grid.sequences);
  EXPECT_EQ(groups.pipeline->size(), plan.grid.layers);
  EXPECT_EQ(groups.pipeline->rank(), own.stage);
}

}  // namespace
}  // namespace fp8cal
