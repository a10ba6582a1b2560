#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Keeps when this rank did what: the stages that it hears of, one after the other.
class Timeline : public ProgressListener {
 public:
  /// One stage. Seconds since the timeline was made.
  struct Entry {
    std::string stage;
    double begin = 0;
    double end = 0;
    std::uint64_t tokens = 0;  ///< that the job as a whole took through the stage
  };

  /// most: entries to keep, 1 or more. The last one stands for all further stages together.
  explicit Timeline(std::size_t most) : most_(most) {}

  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override;
  void advance(std::size_t units) override;
  void end() override;

  /// A stage of which nothing is counted.
  void begin(const std::string& stage) { begin(stage, "", 0, 0); }

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  using Clock = std::chrono::steady_clock;

  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  const std::size_t most_;
  const Clock::time_point start_ = Clock::now();
  std::vector<Entry> entries_;
  std::size_t tokens_per_unit_ = 0;
};

/// How many entries each of so many ranks keeps: a result has 20,000 at most, or one a rank.
std::size_t timeline_entries(int ranks);

/// The lines of Result::provenance[kTimeline], of all ranks, sorted by rank and then by begin; on
/// rank 0, empty elsewhere. A line is "<rank>\t<begin, s>\t<end, s>\t<tokens>\t<stage>", with three
/// digits after the point. Collective.
std::vector<std::string> gather_timeline(const Timeline& own, const Control& control);

}  // namespace fp8cal
