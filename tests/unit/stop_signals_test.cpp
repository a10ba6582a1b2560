#include "coordinator/supervision/stop_signals.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace fp8cal {
namespace {

TEST(StopSignals, RememberTheFirst) {
  const StopSignals signals;
  EXPECT_EQ(stop_requested(), 0);
  std::raise(SIGUSR1);
  EXPECT_EQ(stop_requested(), SIGUSR1);
  std::raise(SIGUSR1);
  std::raise(SIGTERM);
  EXPECT_EQ(stop_requested(), SIGUSR1);
}

TEST(StopSignals, ForgetWhatAnEarlierOneHeard) {
  {
    const StopSignals signals;
    std::raise(SIGTERM);
  }
  const StopSignals signals;
  EXPECT_EQ(stop_requested(), 0);
  std::raise(SIGTERM);
  EXPECT_EQ(stop_requested(), SIGTERM);
}

TEST(StopSignals, ASecondSigtermEndsAtOnce) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        std::raise(SIGTERM);
        std::raise(SIGTERM);
        _exit(0);
      },
      testing::KilledBySignal(SIGTERM), "");
}

/// One that a batch system sends to every process reaches a rank twice.
TEST(StopSignals, OneOfTheParentAndOneOfAnotherAreOne) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const StopSignals signals;
    std::raise(SIGTERM);
    std::raise(SIGSTOP);
    _exit(stop_requested() == SIGTERM ? 7 : 8);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  kill(child, SIGTERM);
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(StopSignals, LateOnesChangeNothing) {
  EXPECT_EXIT(
      {
        { const StopSignals signals; }
        std::raise(SIGUSR1);
        std::raise(SIGTERM);
        std::raise(SIGTERM);
        _exit(7);
      },
      testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace fp8cal
