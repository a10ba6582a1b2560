#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fp8cal {

/// What a rank tells of itself now and then.
struct Report {
  std::uint64_t progress = 0;  ///< grows with whatever gets done
  bool waiting = false;        ///< for other ranks, or for its device
  std::string place;           ///< host and device
  std::string position;        ///< position_of its vital signs
};

/// Which rank is to blame, and for what: "no progress for 120 s in calibrate layers 0-31, layer
/// 17".
struct Culprit {
  std::size_t rank;
  std::string fault;
};

/// Finds the rank that keeps a job from going on. Time is what it is told has passed, so that
/// whoever was suspended together with the ranks does not hold the pause against them.
class Judge {
 public:
  /// deadline: seconds without a report, or without progress, that are too many.
  Judge(std::size_t ranks, double deadline);

  /// A report of the rank arrives.
  void hear(std::size_t rank, const Report& report);
  /// The rank has done its part: from now on only its silence counts against it.
  void excuse(std::size_t rank);
  /// Not even that.
  void dismiss(std::size_t rank);

  /// Time passes. A rank is to blame that has not been heard of for the deadline; else one that
  /// has reported no progress for as long, although it waits for nobody. Where all wait for one
  /// another, or for their devices, and none has made progress for as long: the one that stood
  /// still first, and of those at the same moment the one that got least done.
  std::optional<Culprit> pass(double seconds);

  const Report& last_report(std::size_t rank) const { return ranks_[rank].report; }

 private:
  struct Rank {
    Report report;
    double heard = 0;
    double progressed = 0;
    bool excused = false;
    bool dismissed = false;

    double idle() const { return heard - progressed; }  // as it says itself: it may be silent since
  };

  std::optional<Culprit> silent() const;
  std::optional<Culprit> idle() const;
  std::optional<Culprit> deadlocked() const;
  std::string position(std::size_t rank) const;

  std::vector<Rank> ranks_;
  double deadline_;
  double now_ = 0;
};

}  // namespace fp8cal
