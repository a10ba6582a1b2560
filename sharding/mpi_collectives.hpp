#pragma once

#include <mpi.h>

#include "sharding/collectives.hpp"

namespace fp8cal {

/// Collectives over host memory, for the cpu backend.
class MpiCollectives : public Collectives {
 public:
  /// Of the ranks of `parent` that give the same `color`, ordered by `key`. Collective over
  /// `parent`.
  MpiCollectives(MPI_Comm parent, int color, int key);
  MpiCollectives(const MpiCollectives&) = delete;
  MpiCollectives& operator=(const MpiCollectives&) = delete;
  ~MpiCollectives() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void begin_gather(const void* sent, void* received, std::size_t bytes, int lane) override;
  void end_gather(int) override {}
  void all_max(std::uint32_t* values, std::size_t count) override;
  void all_sum(std::uint64_t* values, std::size_t count) override;
  void all_sum(std::uint32_t* values, std::size_t count) override;
  void send(const void* data, std::size_t bytes, int to) override;
  void receive(void* data, std::size_t bytes, int from) override;
  void wait() override {}

 private:
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace fp8cal
