#pragma once

#include <mpi.h>

#include <memory>
#include <string>

#include "coordinator/supervision/judge.hpp"
#include "jobs/error.hpp"

namespace fp8cal {

/// How a rank watches over the job, a round now and then.
class Watch {
 public:
  virtual ~Watch() = default;

  /// own: this rank's report. seconds: since the last round, or 0: no rank is judged. leaving: its
  /// work is done. Returns true once the other ranks need this one's rounds no more. Does not
  /// return where a rank is found that keeps the job from going on: says which, and ends the job
  /// with exit code 1.
  virtual bool round(const Report& own, double seconds, bool leaving) = 0;

  /// Says the line and ends all ranks with the code.
  [[noreturn]] virtual void end_job(const std::string& line, ExitCode code) const = 0;
};

/// Rank 0 judges what all ranks report to it, the others judge whether rank 0 is still there.
/// Collective; destroyed by all ranks after their last round. deadline: in seconds.
std::unique_ptr<Watch> make_common_watch(MPI_Comm world, double deadline);

/// A rank judges itself alone. waits_for_ranks: waiting may be for others, and so as long as it
/// likes.
std::unique_ptr<Watch> make_lone_watch(int rank, bool waits_for_ranks, double deadline);

}  // namespace fp8cal
