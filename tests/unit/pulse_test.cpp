#include "coordinator/supervision/pulse.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <thread>

#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

/// Keeps the processor busy in another thread: what the one that takes the pulse spends is not
/// counted.
void compute(double seconds) {
  std::thread([seconds] {
    timespec now{};
    do {
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while (static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) < seconds);
  }).join();
}

TEST(Pulse, TellsTheVitalSigns) {
  Pulse pulse(1);
  tell_stage("load");
  tell_layer(3);
  vital_signs().place.write("n1: GPU");
  const Report before = pulse.take(0);
  EXPECT_EQ(before.place, "n1: GPU");
  EXPECT_EQ(before.position, "in load, layer 3");
  EXPECT_FALSE(before.waiting);
  const Waiting waiting;
  tell_progress();
  const Report after = pulse.take(0.1);
  EXPECT_TRUE(after.waiting);
  EXPECT_EQ(after.progress, before.progress + 1);
}

TEST(Pulse, CountsComputationButNotWhileWaiting) {
  Pulse pulse(1);
  const std::uint64_t before = pulse.take(0).progress;
  compute(0.35);
  const std::uint64_t computed = pulse.take(0.1).progress;
  EXPECT_GE(computed, before + 3);
  EXPECT_LE(computed, before + 5);
  std::uint64_t waited = 0;
  {
    const Waiting waiting;
    compute(0.3);
    waited = pulse.take(0.1).progress;
  }
  EXPECT_EQ(waited, computed);
}

TEST(Pulse, DoesNotCountComputationWithoutEnd) {
  Pulse pulse(1);
  tell_progress();
  pulse.take(0);
  pulse.take(9.9);
  compute(0.2);
  const std::uint64_t counted = pulse.take(0.05).progress;
  compute(0.2);
  EXPECT_EQ(pulse.take(0.1).progress, counted);
  tell_progress();
  compute(0.2);
  EXPECT_GE(pulse.take(0.1).progress, counted + 2);
}

}  // namespace
}  // namespace fp8cal
