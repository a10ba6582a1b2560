#include "coordinator/supervision/supervisor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

/// How a supervised process ended, and what it said.
struct End {
  int status = 0;
  std::string said;

  int code() const { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }
  int signal() const { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }
};

/// Runs `rank` supervised in another process; `from_outside` is called with the supervisor's id
/// when the rank has said that it is ready, which it does by writing a byte to the descriptor that
/// it is given.
End supervised(
    const std::function<void(int ready)>& rank,
    const std::function<void(pid_t supervisor)>& from_outside = [](pid_t) {}) {
  std::array<int, 2> ready{}, errors{};
  if (pipe(ready.data()) != 0 || pipe(errors.data()) != 0) std::abort();
  const pid_t supervisor = fork();
  if (supervisor == 0) {
    dup2(errors[1], STDERR_FILENO);
    close(errors[0]);
    close(errors[1]);
    setenv("OMPI_COMM_WORLD_RANK", "5", 1);
    supervise();
    vital_signs().place.write("n1: GPU 0");
    tell_stage("load");
    rank(ready[1]);
    _exit(0);
  }
  close(ready[1]);
  close(errors[1]);
  char byte = 0;
  if (read(ready[0], &byte, 1) == 1) from_outside(supervisor);
  End end;
  std::array<char, 1000> text{};
  for (ssize_t got; (got = read(errors[0], text.data(), text.size())) > 0;) {
    end.said.append(text.data(), static_cast<std::size_t>(got));
  }
  waitpid(supervisor, &end.status, 0);
  close(ready[0]);
  close(errors[0]);
  return end;
}

void say_ready(int descriptor) {
  if (write(descriptor, "!", 1) != 1) _exit(99);
}

void wait_for_signals(int ready) {
  say_ready(ready);
  for (;;) pause();
}

TEST(Supervisor, PassesTheExitCodeOn) {
  const End end = supervised([](int) { _exit(75); });
  EXPECT_EQ(end.code(), 75);
  EXPECT_EQ(end.said, "");
}

TEST(Supervisor, TellsWhichRankWasKilled) {
  const End end = supervised([](int) {
    tell_layer(2);
    std::raise(SIGKILL);
  });
  EXPECT_EQ(end.code(), 1);
  EXPECT_EQ(end.said, "fp8cal: rank 5 (n1: GPU 0): killed by signal 9 (Killed) in load, layer 2\n");
}

TEST(Supervisor, EndsInSilenceOfASignalThatItPassedOn) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    const End end = supervised(wait_for_signals, [&](pid_t pid) { kill(pid, signal); });
    EXPECT_EQ(end.signal(), signal);
    EXPECT_EQ(end.said, "");
  }
}

TEST(Supervisor, PassesOnWhatARankHandles) {
  const auto rank = [](int ready) {
    std::signal(SIGUSR1, [](int) { _exit(42); });
    wait_for_signals(ready);
  };
  EXPECT_EQ(supervised(rank, [](pid_t pid) { kill(pid, SIGUSR1); }).code(), 42);
}

TEST(Supervisor, LeavesIgnoredSignalsIgnored) {
  const auto before = std::signal(SIGHUP, SIG_IGN);  // as nohup does
  const auto rank = [](int ready) {
    std::signal(SIGUSR1, [](int) { _exit(42); });
    wait_for_signals(ready);
  };
  const End end = supervised(rank, [](pid_t pid) {
    kill(pid, SIGHUP);
    kill(pid, SIGUSR1);
  });
  std::signal(SIGHUP, before);
  EXPECT_EQ(end.code(), 42);
}

TEST(Supervisor, TakesTheRankWithIt) {
  // The pipe to standard error ends when the last process that holds it does.
  const End end = supervised(wait_for_signals, [](pid_t pid) { kill(pid, SIGKILL); });
  EXPECT_EQ(end.signal(), SIGKILL);
  EXPECT_EQ(end.said, "");
}

TEST(Supervisor, MissesARankThatIsStoppedWhereNobodyElseDoes) {
  const auto rank = [](int) {
    vital_signs().deadline = 0.5;
    std::raise(SIGSTOP);
  };
  const End end = supervised(rank);
  EXPECT_EQ(end.code(), 1);
  EXPECT_THAT(end.said,
              testing::MatchesRegex("fp8cal: rank 5 .n1: GPU 0.: stopped for [0-9]+ s in load\n"));
}

TEST(Supervisor, MissesARankThatIsStoppedWithItsMonitor) {
  const auto rank = [](int) {
    vital_signs().deadline = 0.5;
    vital_signs().monitored = true;
    std::raise(SIGSTOP);
  };
  EXPECT_THAT(supervised(rank).said, testing::HasSubstr("stopped for"));
}

TEST(Supervisor, MissesARankThatHangsWhereNobodyElseDoes) {
  const auto rank = [](int) {
    vital_signs().deadline = 0.5;
    for (;;) pause();
  };
  const End end = supervised(rank);
  EXPECT_EQ(end.code(), 1);
  EXPECT_THAT(end.said, testing::MatchesRegex(
                            "fp8cal: rank 5 .n1: GPU 0.: no progress for [0-9]+ s in load\n"));
}

TEST(Supervisor, LeavesAMonitoredRankToTheMonitor) {
  const auto rank = [](int) {
    vital_signs().deadline = 0.2;
    vital_signs().monitored = true;
    sleep(3);
    _exit(9);
  };
  EXPECT_EQ(supervised(rank).code(), 9);
}

TEST(Supervisor, KnowsWhatStartedTheProgram) {
  const pid_t self = getpid();
  const End end = supervised([self](int) { _exit(launcher_process() == self ? 3 : 4); });
  EXPECT_EQ(end.code(), 3);
}

}  // namespace
}  // namespace fp8cal
