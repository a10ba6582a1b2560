#pragma once

#include <mpi.h>

#include <deque>
#include <memory>

namespace fp8cal {

/// Ranks that agree on something between two units of work without waiting for each other: a vote
/// is counted only some units after it was cast.
class Ballot {
 public:
  /// stages: of the pipeline that the ranks form: the first is as many units ahead of the last.
  Ballot(MPI_Comm world, int stages);
  Ballot(const Ballot&) = delete;
  Ballot& operator=(const Ballot&) = delete;
  ~Ballot();

  /// Units from a vote to its count.
  std::size_t delay() const { return delay_; }

  /// To be called equally often by every rank. Gives the largest vote that any rank cast `delay`
  /// calls ago: the same on every rank; 0 in the first calls.
  int cast(int vote);

  /// Waits for what has not been counted yet. To be called before the end, unless ranks have
  /// failed: then they would wait for each other.
  void close();

 private:
  struct Vote {
    int own = 0;
    int largest = 0;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  int count_first();

  MPI_Comm communicator_ = MPI_COMM_NULL;
  std::size_t delay_ = 0;
  std::deque<std::unique_ptr<Vote>> votes_;  // MPI keeps the addresses of those under way
};

}  // namespace fp8cal
