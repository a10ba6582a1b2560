#include "coordinator/supervision/supervisor.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "coordinator/supervision/last_words.hpp"
#include "jobs/error.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

/// Those that ask a program to end, or what it understands by them.
constexpr int kPassedOn[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
constexpr timespec kInterval{.tv_sec = 0, .tv_nsec = 500'000'000};
constexpr double kSleptThrough = 1.5;  // seconds that a late round counts for at most
constexpr timespec kGrace{.tv_sec = 0, .tv_nsec = 100'000'000};

pid_t launcher = 0;

/// This rank's number, as launchers tell it.
int rank_number() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* number = std::getenv(name)) return std::atoi(number);
  }
  return 0;
}

/// What a supervisor waits for: the end of the rank, and all that it passes on. What is ignored
/// (nohup) stays so.
sigset_t expected_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  const auto add = [&set](int signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) return;
    sigaddset(&set, signal);
  };
  for (const int signal : kPassedOn) add(signal);
  add(SIGTSTP);
  add(SIGCONT);
  return set;
}

class Supervisor {
 public:
  Supervisor(pid_t rank, const sigset_t& expected) : rank_(rank), expected_(expected) {
    sigemptyset(&passed_on_);
  }

  /// Until the rank's end; ends this process like it.
  [[noreturn]] void stay() {
    using Clock = std::chrono::steady_clock;
    for (Clock::time_point last = Clock::now();;) {
      pass_on(sigtimedwait(&expected_, nullptr, &kInterval));
      look_after_rank();
      const Clock::time_point now = Clock::now();
      expect_progress(std::min(kSleptThrough, std::chrono::duration<double>(now - last).count()));
      last = now;
    }
  }

 private:
  void pass_on(int signal) {
    if (signal <= 0 || signal == SIGCHLD) return;
    if (signal == SIGTSTP) {
      kill(rank_, SIGSTOP);
      std::raise(SIGSTOP);  // goes on with the SIGCONT that comes next
      return;
    }
    if (signal != SIGCONT) sigaddset(&passed_on_, signal);
    kill(rank_, signal);
  }

  void look_after_rank() {
    int status = 0;
    while (waitpid(rank_, &status, WNOHANG | WUNTRACED | WCONTINUED) > 0) {
      if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
      if (WIFSIGNALED(status)) end_like(WTERMSIG(status));
      stopped_ = WIFSTOPPED(status);
    }
  }

  /// Before a Monitor watches, and after: a rank that is stopped then would never be missed. Nor
  /// would one that is alone, whose Monitor is stopped with it.
  void expect_progress(double seconds) {
    const VitalSigns& signs = vital_signs();
    const std::uint64_t progress = signs.progress;
    const bool is_watched = signs.monitored && (signs.has_peers || !stopped_);
    idle_ = is_watched || progress != progress_ ? 0 : idle_ + seconds;
    progress_ = progress;
    // Ranks that wait for one that is stopped let its supervisor speak first.
    const double patience = stopped_ ? 0 : kEchoDelay.count() + turn_of(rank_number()).count();
    if (idle_ <= signs.deadline + patience) return;
    tell(fmt::format("{} for {:.0f} s", stopped_ ? "stopped" : "no progress", idle_));
    kill(rank_, SIGKILL);
    _exit(static_cast<int>(ExitCode::failed));
  }

  [[noreturn]] void end_like(int signal) {
    if (!was_passed_on(signal)) {
      tell(fmt::format("killed by signal {} ({})", signal, strsignal(signal)));
      _exit(static_cast<int>(ExitCode::failed));
    }
    const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};  // the rank has left one if it should
    setrlimit(RLIMIT_CORE, &no_core);
    std::signal(signal, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    std::raise(signal);
    _exit(128 + signal);
  }

  /// Also where the rank was sent it together with this process, and was first to get it.
  bool was_passed_on(int signal) const {
    if (sigismember(&passed_on_, signal) == 1) return true;
    if (sigismember(&expected_, signal) != 1) return false;
    sigset_t same;
    sigemptyset(&same);
    sigaddset(&same, signal);
    return sigtimedwait(&same, nullptr, &kGrace) == signal;
  }

  static void tell(const std::string& what) {
    const VitalSigns& signs = vital_signs();
    print_error(fmt::format("{}: {} {}", rank_text(rank_number(), signs.place.read()), what,
                            position_of(signs)));
  }

  const pid_t rank_;
  const sigset_t expected_;
  sigset_t passed_on_;
  bool stopped_ = false;
  std::uint64_t progress_ = 0;
  double idle_ = 0;  // seconds
};

}  // namespace

void supervise() {
  launcher = getppid();
  share_vital_signs();
  std::signal(SIGCHLD, SIG_DFL);
  const sigset_t expected = expected_signals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &expected, &before);
  const pid_t supervisor = getpid();
  const pid_t rank = fork();
  if (rank < 0) throw system_error("supervisor", "fork", errno);
  if (rank == 0) {
    // A group of its own: what is sent to the supervisor's group reaches the rank once.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != supervisor) _exit(static_cast<int>(ExitCode::failed));
    sigprocmask(SIG_SETMASK, &before, nullptr);
    return;
  }
  setpgid(rank, rank);
  std::signal(SIGPIPE, SIG_IGN);
  Supervisor(rank, expected).stay();
}

pid_t launcher_process() { return launcher != 0 ? launcher : getppid(); }

}  // namespace fp8cal
