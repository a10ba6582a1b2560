#include "coordinator/supervision/last_words.hpp"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include "coordinator/supervision/stop_signals.hpp"

namespace fp8cal {
namespace {

// With MPI_Abort, and with whoever reads our line or writes it down.
constexpr std::chrono::seconds kPatience{5};

std::function<void(const std::string&, int)> witness;

/// Ends the process a few seconds from now.
void end_soon(int code) {
  try {
    std::thread([code] {
      std::this_thread::sleep_for(kPatience);
      _exit(code);
    }).detach();
  } catch (const std::system_error&) {  // no thread to be had: then without a net
  }
}

}  // namespace

void print_error(const std::string& line) {
  const std::string whole = fmt::format("fp8cal: {}\n", line);
  // Not through stdio: a thread that hangs may hold its lock.
  std::size_t done = 0;
  while (done < whole.size()) {
    const ssize_t written = ::write(STDERR_FILENO, whole.data() + done, whole.size() - done);
    if (written <= 0) return;
    done += static_cast<std::size_t>(written);
  }
}

std::string rank_text(int rank, const std::string& place) {
  return place.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} ({})", rank, place);
}

std::chrono::duration<double> turn_of(int rank) {
  return std::chrono::milliseconds(std::min(400 * rank, 4000));
}

void wait_for_turn(int rank, bool echo) {
  std::this_thread::sleep_for(turn_of(rank));
  // Whoever is told to end is so, perhaps, because another rank has failed and said so.
  if (echo || stop_requested() == SIGTERM) std::this_thread::sleep_for(kEchoDelay);
}

void set_witness(std::function<void(const std::string&, int)> new_witness) {
  witness = std::move(new_witness);
}

void end_all_ranks(const std::string& line, int code) {
  end_soon(code);
  print_error(line);
  if (witness) witness(line, code);
  MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

void end_this_rank(const std::string& line, int code) {
  end_soon(code);
  print_error(line);
  if (witness) witness(line, code);
  _exit(code);
}

}  // namespace fp8cal
