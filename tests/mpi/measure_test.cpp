#include "coordinator/profile/measure.hpp"

#include <gtest/gtest.h>

#include "tests/unit/temp_folder.hpp"
#include "tests/unit/tiny_model.hpp"

namespace fp8cal {
namespace {

/// The first two ranks, each with a slice.
TEST(Measure, CountsWhatRanksExchange) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm pair = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank < 2 ? 0 : MPI_UNDEFINED, rank, &pair);
  if (pair == MPI_COMM_NULL) return;
  {
    const Control control(pair);
    TempFolder folder;
    write_tiny_model(folder.path());
    SilentProgress progress;
    const LatencyProfile profile = measure({.model = folder.path(),
                                            .scales = {},
                                            .variants = {"fp8-static"},
                                            .kv = {"e5m2"},
                                            .prompts = {8},
                                            .decode_batches = {2},
                                            .contexts = {40},
                                            .backend = "cpu",
                                            .device_memory = std::uint64_t{256} << 20,
                                            .threads = 1},
                                           control, pair, progress);
    EXPECT_EQ(profile.checks.at(0).mean_difference, 0);
    EXPECT_TRUE(profile.checks.at(0).same_bits);
    EXPECT_LE(profile.peak_bytes, profile.planned_bytes);
    const bool sliced = control.size() == 2;
    EXPECT_EQ(profile.ceilings.gather_bytes_per_s > 0, sliced);
    if (rank == 0) {
      EXPECT_EQ(profile.places.size(), static_cast<std::size_t>(control.size()));
      ASSERT_EQ(profile.passes.size(), 2u);
      for (const ProfiledPass& pass : profile.passes) {
        EXPECT_GT(pass.latency.median, 0);
        const CauseTime& gathers = pass.causes[static_cast<std::size_t>(Cause::collectives)];
        EXPECT_EQ(gathers.bytes > 0, sliced || !pass.key.decodes);
        // Four gathers a layer, half of them put in order by columns; embedding and tokens. A
        // prompt's position is copied like columns, too.
        const std::size_t exchanged = sliced ? 2 * (4 + 2) + 2 : 0;
        EXPECT_EQ(gathers.calls, exchanged + (pass.key.decodes ? 0u : 1u));
      }
    }
  }
  MPI_Comm_free(&pair);
}

}  // namespace
}  // namespace fp8cal
