#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// What a rank did from one moment to another: seconds since the start of the job.
struct TimelineSpan {
  std::size_t rank = 0;
  double begin = 0;
  double end = 0;
  std::uint64_t tokens = 0;  ///< that all ranks computed meanwhile; 0 where the stage has none
  std::string stage;
};

/// One stage of one rank, all its spans together.
struct RankThroughput {
  std::size_t rank = 0;
  std::string stage;
  double seconds = 0;
  std::uint64_t tokens = 0;
};

struct TimelineFigure {
  std::vector<TimelineSpan> spans;         ///< by rank and begin
  std::vector<std::string> stages;         ///< in the order in which they begin first
  std::vector<RankThroughput> throughput;  ///< by rank, then stage
};

/// Of /provenance's `timeline`: lines "rank <tab> begin <tab> end <tab> tokens <tab> stage". What
/// is no such line counts as absent.
TimelineFigure timeline_of(const Result& result);

}  // namespace fp8cal
