#include "coordinator/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>
#include <thread>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxBytes = std::size_t{64} << 20;
constexpr std::chrono::milliseconds kPause{5};

/// A pipe that a child writes to and this process reads.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw system_error("pipe", "open", errno);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_writer() { close_end(1); }

  /// Adds what there is to `text`; at the end, closes the reader.
  void read_into(std::string& text) {
    std::array<char, 65536> bytes;
    const ssize_t count = ::read(ends_[0], bytes.data(), bytes.size());
    if (count > 0) text.append(bytes.data(), static_cast<std::size_t>(count));
    if (count == 0 || (count < 0 && errno != EINTR)) close_end(0);
  }

 private:
  void close_end(std::size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }

  std::array<int, 2> ends_ = {-1, -1};
};

/// A running child; killed where it is not waited for.
class Child {
 public:
  Child(const std::vector<std::string>& words, const std::vector<std::string>& environment,
        const Pipe& output, const Pipe& errors)
      : name_(words.front()) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output.writer(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors.writer(), STDERR_FILENO);
    const int failure = ::posix_spawnp(&pid_, name_.c_str(), &actions, nullptr,
                                       pointers(words).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    if (failure == 0) return;
    pid_ = -1;
    throw InputError(name_, "cannot be run", "Slurm's commands on PATH", std::strerror(failure));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  /// Its exit status; none while it runs.
  std::optional<int> status() {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
    all.push_back(nullptr);
    return all;
  }

  std::string name_;
  pid_t pid_ = -1;
};

/// Reads both pipes to their ends, or to `end`.
void collect(Pipe& output, Pipe& errors, Finished& finished, const std::string& name,
             Clock::time_point end) {
  while (output.reader() >= 0 || errors.reader() >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return;
    // poll skips a reader of -1.
    std::array<pollfd, 2> ready = {pollfd{output.reader(), POLLIN, 0},
                                   pollfd{errors.reader(), POLLIN, 0}};
    if (::poll(ready.data(), ready.size(), static_cast<int>(left)) <= 0) continue;
    if (ready[0].revents != 0) output.read_into(finished.output);
    if (ready[1].revents != 0) errors.read_into(finished.errors);
    if (finished.output.size() + finished.errors.size() > kMaxBytes) {
      throw Error(
          ExitCode::failed,
          fmt::format("{}: expected at most {} bytes of output, found more", name, kMaxBytes));
    }
  }
}

}  // namespace

bool is_on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string file = (folder.empty() ? "." : folder) + "/" + program;
    if (::access(file.c_str(), X_OK) == 0) return true;
  }
  return false;
}

Finished run_program(const std::vector<std::string>& words,
                     const std::vector<std::string>& environment, std::chrono::seconds limit) {
  const Clock::time_point end = Clock::now() + limit;
  Pipe output;
  Pipe errors;
  Finished finished;
  Child child(words, environment, output, errors);
  output.close_writer();
  errors.close_writer();
  collect(output, errors, finished, words.front(), end);
  // It may have closed both and go on.
  for (;;) {
    if (const auto status = child.status()) {
      finished.status = *status;
      return finished;
    }
    if (Clock::now() >= end) {
      throw Error(ExitCode::failed, fmt::format("{}: expected an end within {} s, found none",
                                                words.front(), limit.count()));
    }
    std::this_thread::sleep_for(kPause);
  }
}

std::vector<std::string> current_environment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

}  // namespace fp8cal
