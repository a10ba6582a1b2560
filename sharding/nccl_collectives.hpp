#pragma once

#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>

#include <array>
#include <chrono>
#include <string>

#include "kernels/cuda/cuda_handles.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// Collectives over the memory of GPUs, for the cuda backend. They run on a stream of their own, of
/// high priority, ordered with the backend's by events; calls return before the work is done.
/// Failures throw Error with the operation, the rank and NCCL's
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
  void begin_gather(const void* sent, void* received, std::size_t bytes, int lane) override;
  void end_gather(int lane) override;
  void all_max(std::uint32_t* values, std::size_t count) override;
  void all_sum(std::uint64_t* values, std::size_t count) override;
  void all_sum(std::uint32_t* values, std::size_t count) override;
  void send(const void* data, std::size_t bytes, int to) override;
  void receive(void* data, std::size_t bytes, int from) override;
  void wait() override;

 private:
  using Clock = std::chrono::steady_clock;

  void connect(std::chrono::seconds deadline);
  /// What is enqueued next on `side_` runs after all earlier calls of the backend.
  void follow_backend();
  /// Later calls of the backend run after what has been enqueued on `side_`.
  void precede_backend();
  void all_reduce(const char* operation, void* values, std::size_t count, ncclDataType_t type,
                  ncclRedOp_t reduction);
  /// Until NCCL has taken what was asked of it.
  void finish(const char* operation, ncclResult_t result, Clock::duration limit);
  void expect_peer(const char* operation, int peer) const;
  /// Throws Error where this rank is to blame, else PeerError; the communicator is gone then.
  [[noreturn]] void fail(const char* operation, ncclResult_t result);
  /// Throws PeerError.
  [[noreturn]] void fail_for(const char* operation, const std::string& reason);
  void abort();
  std::string describe(const char* operation, const std::string& reason) const;
  std::string text_of(ncclResult_t result) const;

  MPI_Comm control_ = MPI_COMM_NULL;
  ncclComm_t communicator_ = nullptr;  // null in a group of one, and once aborted
  cudaStream_t stream_;                // the backend's
  CudaStream side_;
  CudaEvent backend_reached_, operation_done_;
  std::array<CudaEvent, kGatherLanes> gather_done_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace fp8cal
