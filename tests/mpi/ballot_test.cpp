#include "sharding/ballot.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

namespace fp8cal {
namespace {

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

TEST(Ballot, CountsTheLargestVoteAfterItsDelay) {
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  Ballot ballot(MPI_COMM_WORLD, 2);
  for (std::size_t unit = 0; unit < 20 + ballot.delay(); ++unit) {
    // Each unit another rank has a vote.
    const bool mine =
        unit % static_cast<std::size_t>(ranks) == static_cast<std::size_t>(world_rank());
    const int counted = ballot.cast(mine ? static_cast<int>(unit) + 1 : 0);
    EXPECT_EQ(counted, unit < ballot.delay() ? 0 : static_cast<int>(unit - ballot.delay()) + 1);
  }
  ballot.close();
}

TEST(Ballot, NeedsNoDelayAlone) {
  Ballot ballot(MPI_COMM_SELF, 1);
  EXPECT_EQ(ballot.delay(), 0u);
  EXPECT_EQ(ballot.cast(2), 2);
  EXPECT_EQ(ballot.cast(0), 0);
}

}  // namespace
}  // namespace fp8cal
