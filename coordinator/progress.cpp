#include "coordinator/progress.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "coordinator/duration_text.hpp"
#include "coordinator/stage_count.hpp"
#include "coordinator/supervision/supervisor.hpp"

namespace fp8cal {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// mpirun passes standard error on through a pipe: what counts is where the launcher's own goes.
bool launcher_writes_to_terminal() {
  const std::string path = fmt::format("/proc/{}/fd/2", launcher_process());
  const int fd = open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool terminal = isatty(fd) == 1;
  close(fd);
  return terminal;
}

class Silent : public ProgressListener {
 public:
  void begin(const std::string&, const std::string&, std::size_t, std::size_t) override {}
  void advance(std::size_t) override {}
  void end() override {}
};

/// Keeps count; how it is shown is for those that derive.
class Counting : public ProgressListener {
 public:
  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override {
    count_.begin(stage, unit, units, tokens_per_unit);
    shown_ = Clock::now();
  }

  void advance(std::size_t units) override {
    count_.advance(units);
    if (Seconds(Clock::now() - shown_).count() < interval()) return;
    shown_ = Clock::now();
    show();
  }

 protected:
  virtual double interval() const = 0;  // seconds from one show() to the next
  virtual void show() = 0;

  const StageCount& count() const { return count_; }

  /// "calibrate layers 0-3: 12/16 sequences, 3120 tokens/s".
  std::string position() const {
    std::string text =
        fmt::format("{}: {}/{} {}", count_.stage(), count_.done(), count_.units(), count_.unit());
    if (const auto speed = count_.tokens_per_second()) {
      text += fmt::format(", {:.0f} tokens/s", *speed);
    }
    return text;
  }

  std::string time_left() const {
    const auto seconds = count_.seconds_left();
    return seconds ? fmt::format(", {} left", duration_text(*seconds)) : "";
  }

 private:
  StageCount count_;
  Clock::time_point shown_;
};

class Lines : public Counting {
 public:
  void end() override { spdlog::info("{}, {:.1f} s", position(), count().seconds()); }

 protected:
  double interval() const override { return 10.0; }
  void show() override { spdlog::info("{}{}", position(), time_left()); }
};

class Bar : public Counting {
 public:
  void end() override {
    draw(fmt::format(", {:.1f} s", count().seconds()));
    std::fputc('\n', stderr);
  }

 protected:
  double interval() const override { return 0.1; }
  void show() override { draw(time_left()); }

 private:
  void draw(const std::string& tail) const {
    constexpr int kWidth = 24;
    const int filled = static_cast<int>(count().share() * kWidth);
    fmt::print(stderr, "\r[{:=<{}}{: <{}}] {}{}\x1b[K", "", filled, "", kWidth - filled, position(),
               tail);
    std::fflush(stderr);
  }
};

}  // namespace

ProgressKind resolve_progress(const std::string& kind) {
  if (kind == "none") return ProgressKind::none;
  if (kind == "lines") return ProgressKind::lines;
  if (kind == "bar") return ProgressKind::bar;
  const bool terminal =
      isatty(STDERR_FILENO) == 1 ||
      (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr && launcher_writes_to_terminal());
  return terminal ? ProgressKind::bar : ProgressKind::lines;
}

std::unique_ptr<ProgressListener> make_progress(ProgressKind kind) {
  switch (kind) {
    case ProgressKind::bar:
      return std::make_unique<Bar>();
    case ProgressKind::lines:
      return std::make_unique<Lines>();
    case ProgressKind::none:
      break;
  }
  return std::make_unique<Silent>();
}

}  // namespace fp8cal
