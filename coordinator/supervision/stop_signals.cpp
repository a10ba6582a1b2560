#include "coordinator/supervision/stop_signals.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

std::atomic<int> requested = 0;
// A batch system may send one SIGTERM to every process: what the supervisor gets it passes on, so
// that this process gets it twice. What each of the two ways brings is counted for itself.
std::atomic<int> passed_on = 0;
std::atomic<int> direct = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler uses them");

extern "C" void ask_to_stop(int signal, siginfo_t* info, void*) {
  int none = 0;
  requested.compare_exchange_strong(none, signal);
  if (signal != SIGTERM) return;
  std::atomic<int>& count = info->si_pid == getppid() ? passed_on : direct;
  if (++count < 2) return;
  std::signal(SIGTERM, SIG_DFL);
  std::raise(SIGTERM);
}

void ask_on(int signal) {
  struct sigaction action {};
  action.sa_sigaction = ask_to_stop;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  if (sigaction(signal, &action, nullptr) != 0) {
    throw system_error("stop signals", "set an action", errno);
  }
}

}  // namespace

StopSignals::StopSignals() {
  requested = passed_on = direct = 0;
  ask_on(SIGTERM);
  ask_on(SIGUSR1);
}

StopSignals::~StopSignals() {
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGUSR1, SIG_IGN);
}

int stop_requested() { return requested; }

}  // namespace fp8cal
