#include "sharding/timed_collectives.hpp"

#include <gtest/gtest.h>

#include "cpu_test_support.hpp"
#include "sharding/single_collectives.hpp"

namespace fp8cal {
namespace {

TEST(TimedCollectives, PassesOnAndTimes) {
  const auto cpu = make_cpu_backend(1);
  TimedBackend timer(*cpu);
  SingleCollectives single(timer);
  TimedCollectives timed(single, timer);
  EXPECT_EQ(timed.size(), 1);
  std::uint32_t sent[2] = {3, 4}, received[2] = {0, 0};
  timed.all_gather(sent, received, sizeof sent);  // not timed, and yet done
  EXPECT_EQ(received[1], 4u);
  timer.start();
  timed.begin_gather(sent, received, sizeof sent, 1);
  timed.all_sum(sent, 2);
  timed.all_max(sent, 2);
  timed.end_gather(1);
  timer.stop();
  std::size_t gathers = 0, reductions = 0;
  double reduced = 0;
  for (const KernelTime& one : timer.profile().kernels) {
    if (one.kernel == "all_gather") gathers += one.calls;
    if (one.kernel != "all_reduce") continue;
    reductions += one.calls;
    reduced += one.bytes;
  }
  EXPECT_EQ(gathers, 1u);
  EXPECT_EQ(reductions, 2u);
  EXPECT_EQ(reduced, 2 * 8.0);
}

}  // namespace
}  // namespace fp8cal
