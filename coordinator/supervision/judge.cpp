#include "coordinator/supervision/judge.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fp8cal {
namespace {

/// Reports come about each second: ranks that stood still within so many seconds did so together.
constexpr double kSameMoment = 1.5;

}  // namespace

Judge::Judge(std::size_t ranks, double deadline) : ranks_(ranks), deadline_(deadline) {}

void Judge::hear(std::size_t rank, const Report& report) {
  Rank& one = ranks_[rank];
  if (report.progress != one.report.progress) one.progressed = now_;
  one.heard = now_;
  one.report = report;
}

void Judge::excuse(std::size_t rank) {
  Rank& one = ranks_[rank];
  if (one.excused) return;
  one.excused = true;
  one.progressed = now_;  // whoever waited for it may go on only now
}

void Judge::dismiss(std::size_t rank) { ranks_[rank].dismissed = true; }

std::optional<Culprit> Judge::pass(double seconds) {
  now_ += seconds;
  std::optional<Culprit> culprit = silent();
  if (!culprit) culprit = idle();
  if (!culprit) culprit = deadlocked();
  return culprit;
}

std::optional<Culprit> Judge::silent() const {
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const double silence = now_ - ranks_[r].heard;
    if (ranks_[r].dismissed || silence <= deadline_) continue;
    return Culprit{r, fmt::format("not heard of for {:.0f} s, last {}", silence, position(r))};
  }
  return std::nullopt;
}

std::optional<Culprit> Judge::idle() const {
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const Rank& one = ranks_[r];
    if (one.excused || one.report.waiting || one.idle() <= deadline_) continue;
    return Culprit{r, fmt::format("no progress for {:.0f} s {}", one.idle(), position(r))};
  }
  return std::nullopt;
}

std::optional<Culprit> Judge::deadlocked() const {
  double longest = 0;
  for (const Rank& one : ranks_) {
    if (one.idle() <= deadline_ || !(one.report.waiting || one.excused)) return std::nullopt;
    if (!one.excused) longest = std::max(longest, one.idle());
  }
  std::optional<std::size_t> culprit;
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const Rank& one = ranks_[r];
    if (one.excused || one.idle() < longest - kSameMoment) continue;
    if (!culprit || one.report.progress < ranks_[*culprit].report.progress) culprit = r;
  }
  if (!culprit) return std::nullopt;
  return Culprit{*culprit,
                 fmt::format("no progress for {:.0f} s, waiting for other ranks or its device, {}",
                             longest, position(*culprit))};
}

std::string Judge::position(std::size_t rank) const {
  const std::string& told = ranks_[rank].report.position;
  return told.empty() ? "at the start" : told;
}

}  // namespace fp8cal
