#include "coordinator/supervision/monitor.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "coordinator/supervision/stop_signals.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

using std::chrono::milliseconds;

constexpr double kDeadline = 0.5;

/// What a rank does for a second or two.
template <class Work>
void watched(bool waits_for_ranks, const MonitorLimits& limits, const Work& work) {
  const Monitor monitor(make_lone_watch(3, waits_for_ranks, limits.deadline), 3, limits);
  work();
}

void idle(int milli) { std::this_thread::sleep_for(milliseconds(milli)); }

class MonitorTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(MonitorTest, LetsARankGetOn) {
  watched(false, {.deadline = kDeadline}, [] {
    EXPECT_TRUE(vital_signs().monitored);
    for (int i = 0; i < 12; ++i) {
      idle(100);
      tell_progress();
    }
  });
  EXPECT_FALSE(vital_signs().monitored);
}

TEST_F(MonitorTest, LetsARankWaitForOthers) {
  watched(true, {.deadline = kDeadline}, [] {
    const Waiting waiting;
    idle(1200);
  });
}

TEST_F(MonitorTest, EndsARankThatStandsStill) {
  EXPECT_EXIT(watched(false, {.deadline = kDeadline},
                      [] {
                        vital_signs().place.write("n1: GPU 0");
                        tell_stage("load layers 0-3");
                        idle(20000);
                      }),
              testing::ExitedWithCode(1),
              "^fp8cal: rank 3 \\(n1: GPU 0\\): no progress for [0-9]+ s in load layers 0-3\n$");
}

TEST_F(MonitorTest, EndsARankThatWaitsForItsDeviceAlone) {
  EXPECT_EXIT(watched(false, {.deadline = kDeadline},
                      [] {
                        const Waiting waiting;
                        idle(20000);
                      }),
              testing::ExitedWithCode(1),
              "rank 3: no progress for [0-9]+ s, waiting .*, at the start");
}

TEST_F(MonitorTest, EndsARankThatDoesNotStopInTime) {
  const auto work = [] {
    const StopSignals signals;
    std::raise(SIGUSR1);
    for (int i = 0; i < 200; ++i) {
      idle(100);
      tell_progress();
    }
  };
  EXPECT_EXIT(
      watched(false, {.deadline = kDeadline, .stopping = 0.7}, work), testing::ExitedWithCode(75),
      "rank 3: asked to stop by SIGUSR1.* within [0-9]+ s");  // ranks above 0 take 2 s longer
}

TEST_F(MonitorTest, LetsARankStopInTime) {
  const StopSignals signals;
  watched(false, {.deadline = kDeadline, .stopping = 10}, [] {
    std::raise(SIGTERM);
    idle(300);
  });
  EXPECT_EQ(stop_requested(), SIGTERM);
}

}  // namespace
}  // namespace fp8cal
