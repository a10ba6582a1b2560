#pragma once

#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>

#include <chrono>
#include <string>

#include "sharding/collectives.hpp"

namespace fp8cal {

/// Collectives over the memory of GPUs, for the cuda backend. Calls are enqueued on one stream and
/// return before the work is done. Failures throw Error with the operation, the rank and NCCL's
/// text, and leave the communicator aborted: the other ranks then fail too instead of waiting.
/// A group of one rank makes no NCCL call.
class NcclCollectives : public Collectives {
 public:
  /// Of the ranks of `parent` that give the same `color`, ordered by `key`, each with a GPU of its
  /// own as its current device. Collective over `parent`. deadline: for the ranks to meet here.
  NcclCollectives(MPI_Comm parent, int color, int key, cudaStream_t stream,
                  std::chrono::seconds deadline = std::chrono::seconds(120));
  NcclCollectives(const NcclCollectives&) = delete;
  NcclCollectives& operator=(const NcclCollectives&) = delete;
  ~NcclCollectives() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_gather(const void* sent, void* received, std::size_t bytes) override;
  void all_max(std::uint32_t* values, std::size_t count) override;
  void all_sum(std::uint64_t* values, std::size_t count) override;
  void all_sum(std::uint32_t* values, std::size_t count) override;
  void send(const void* data, std::size_t bytes, int to) override;
  void receive(void* data, std::size_t bytes, int from) override;
  void wait() override;

 private:
  using Clock = std::chrono::steady_clock;

  void connect(std::chrono::seconds deadline);
  void all_reduce(const char* operation, void* values, std::size_t count, ncclDataType_t type,
                  ncclRedOp_t reduction);
  /// Until NCCL has taken what was asked of it.
  void finish(const char* operation, ncclResult_t result, Clock::duration limit);
  void expect_peer(const char* operation, int peer) const;
  [[noreturn]] void fail(const char* operation, const std::string& reason);
  std::string text_of(ncclResult_t result) const;

  MPI_Comm control_ = MPI_COMM_NULL;
  ncclComm_t communicator_ = nullptr;  // null in a group of one, and once aborted
  cudaStream_t stream_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace fp8cal
