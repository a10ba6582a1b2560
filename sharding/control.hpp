#pragma once

#include <mpi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fp8cal {

/// The control plane: host bytes between ranks, over MPI. Every method is collective.
class Control {
 public:
  /// Duplicates `communicator`, so that its messages never meet others.
  explicit Control(MPI_Comm communicator);
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  ~Control();

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// How many ranks share this rank's host, and this one's number among them.
  int ranks_on_host() const { return ranks_on_host_; }
  int rank_on_host() const { return rank_on_host_; }

  /// Rank 0's `bytes` on every rank.
  std::string broadcast(std::string bytes) const;
  /// Every rank's bytes, in rank order, on rank 0; empty elsewhere.
  std::vector<std::string> gather(const std::string& bytes) const;
  /// The largest value on any rank.
  std::int64_t max(std::int64_t value) const;

 private:
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  int ranks_on_host_ = 1;
  int rank_on_host_ = 0;
};

}  // namespace fp8cal
