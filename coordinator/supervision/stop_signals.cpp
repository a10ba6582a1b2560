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

void set_action(int signal, bool asks) {
  struct sigaction action {};
  if (asks) {
    action.sa_sigaction = ask_to_stop;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
  } else {
    action.sa_handler = SIG_DFL;
  }
  if (sigaction(signal, &action, nullptr) != 0 && asks) {
    throw system_error("stop signals", "set an action", errno);
  }
}

}  // namespace

StopSignals::StopSignals() {
  requested = passed_on = direct = 0;
  set_action(SIGTERM, true);
  set_action(SIGUSR1, true);
}

StopSignals::~StopSignals() {
  set_action(SIGTERM, false);
  set_action(SIGUSR1, false);
}

int stop_requested() { return requested; }

}  // namespace fp8cal
