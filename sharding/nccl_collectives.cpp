#include "sharding/nccl_collectives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <thread>

#include "jobs/error.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/cuda_stream.hpp"
#include "sharding/mpi_check.hpp"
#include "sharding/nccl_group.hpp"
#include "sharding/peer_error.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

// The last resort where no Monitor watches: how late another rank may be. Not a failure yet: it may
// have a slower GPU or more sequences.
constexpr std::chrono::minutes kPatience{30};
constexpr std::chrono::seconds kFarewell{10};
constexpr std::chrono::microseconds kPollInterval{20};

/// What rank 0 tells the others before they meet.
struct Invitation {
  ncclUniqueId id;
  ncclResult_t result;
};

/// Whether this rank's own device or calls are to blame, rather than another rank.
bool is_own_failure(ncclResult_t result) {
  return result == ncclUnhandledCudaError || result == ncclInvalidArgument ||
         result == ncclInvalidUsage;
}

}  // namespace

std::unique_ptr<Collectives> make_nccl_group(MPI_Comm parent, int color, int key,
                                             const Backend& backend) {
  return std::make_unique<NcclCollectives>(parent, color, key, cuda_stream(backend));
}

NcclCollectives::NcclCollectives(MPI_Comm parent, int color, int key, cudaStream_t stream,
                                 std::chrono::seconds deadline)
    : stream_(stream) {
  const Waiting waiting;
  FP8CAL_MPI(MPI_Comm_split(parent, color, key, &control_));
  try {
    FP8CAL_MPI(MPI_Comm_set_errhandler(control_, MPI_ERRORS_RETURN));
    FP8CAL_MPI(MPI_Comm_rank(control_, &rank_));
    FP8CAL_MPI(MPI_Comm_size(control_, &size_));
    if (size_ > 1) connect(deadline);
  } catch (...) {
    MPI_Comm_free(&control_);
    throw;
  }
}

void NcclCollectives::connect(std::chrono::seconds deadline) {
  Invitation invitation{};
  if (rank_ == 0) invitation.result = ncclGetUniqueId(&invitation.id);
  FP8CAL_MPI(MPI_Bcast(&invitation, sizeof invitation, MPI_BYTE, 0, control_));
  if (invitation.result != ncclSuccess) fail("unique id", invitation.result);
  side_ = create_urgent_cuda_stream();
  backend_reached_ = create_cuda_event();
  operation_done_ = create_cuda_event();
  for (CudaEvent& event : gather_done_) event = create_cuda_event();
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.maxCTAs = kNcclMultiprocessors;
  finish("connect", ncclCommInitRankConfig(&communicator_, size_, invitation.id, rank_, &config),
         deadline);
}

NcclCollectives::~NcclCollectives() {
  const Waiting waiting;
  if (communicator_ != nullptr) {
    // While an error is on its way the other ranks may never answer.
    ncclResult_t state =
        std::uncaught_exceptions() > 0 ? ncclInternalError : ncclCommFinalize(communicator_);
    const Clock::time_point end = Clock::now() + kFarewell;
    while (state == ncclInProgress && Clock::now() < end) {
      std::this_thread::sleep_for(kPollInterval);
      if (ncclCommGetAsyncError(communicator_, &state) != ncclSuccess) state = ncclInternalError;
    }
    static_cast<void>(state == ncclSuccess ? ncclCommDestroy(communicator_)
                                           : ncclCommAbort(communicator_));
  }
  MPI_Comm_free(&control_);
}

void NcclCollectives::follow_backend() {
  FP8CAL_CUDA(cudaEventRecord(backend_reached_.get(), stream_));
  FP8CAL_CUDA(cudaStreamWaitEvent(side_.get(), backend_reached_.get()));
}

void NcclCollectives::precede_backend() {
  FP8CAL_CUDA(cudaEventRecord(operation_done_.get(), side_.get()));
  FP8CAL_CUDA(cudaStreamWaitEvent(stream_, operation_done_.get()));
}

void NcclCollectives::begin_gather(const void* sent, void* received, std::size_t bytes, int lane) {
  if (bytes == 0) return;
  if (size_ == 1) {
    FP8CAL_CUDA(cudaMemcpyAsync(received, sent, bytes, cudaMemcpyDeviceToDevice, stream_));
    return;
  }
  follow_backend();
  finish("gather", ncclAllGather(sent, received, bytes, ncclUint8, communicator_, side_.get()),
         kPatience);
  FP8CAL_CUDA(cudaEventRecord(gather_done_.at(static_cast<std::size_t>(lane)).get(), side_.get()));
}

void NcclCollectives::end_gather(int lane) {
  if (size_ == 1) return;
  FP8CAL_CUDA(cudaStreamWaitEvent(stream_, gather_done_.at(static_cast<std::size_t>(lane)).get()));
}

void NcclCollectives::all_max(std::uint32_t* values, std::size_t count) {
  all_reduce("all_max", values, count, ncclUint32, ncclMax);
}

void NcclCollectives::all_sum(std::uint64_t* values, std::size_t count) {
  all_reduce("all_sum", values, count, ncclUint64, ncclSum);
}

void NcclCollectives::all_sum(std::uint32_t* values, std::size_t count) {
  all_reduce("all_sum", values, count, ncclUint32, ncclSum);
}

void NcclCollectives::all_reduce(const char* operation, void* values, std::size_t count,
                                 ncclDataType_t type, ncclRedOp_t reduction) {
  if (size_ == 1 || count == 0) return;
  follow_backend();
  finish(operation,
         ncclAllReduce(values, values, count, type, reduction, communicator_, side_.get()),
         kPatience);
  precede_backend();
}

void NcclCollectives::send(const void* data, std::size_t bytes, int to) {
  expect_peer("send", to);
  if (bytes == 0) return;
  follow_backend();
  finish("send", ncclSend(data, bytes, ncclUint8, to, communicator_, side_.get()), kPatience);
  precede_backend();
}

void NcclCollectives::receive(void* data, std::size_t bytes, int from) {
  expect_peer("receive", from);
  if (bytes == 0) return;
  follow_backend();
  finish("receive", ncclRecv(data, bytes, ncclUint8, from, communicator_, side_.get()), kPatience);
  precede_backend();
}

void NcclCollectives::wait() {
  if (size_ == 1) return;
  const Waiting waiting;
  const Clock::time_point end = Clock::now() + kPatience;
  for (;;) {
    const cudaError_t status = cudaStreamQuery(stream_);
    if (status == cudaSuccess) return;
    if (status != cudaErrorNotReady) FP8CAL_CUDA(status);
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
    if (asked != ncclSuccess) state = asked;
    if (state != ncclSuccess && state != ncclInProgress) fail("wait", state);
    if (Clock::now() > end) {
      fail_for("wait", fmt::format("not done after {} min", kPatience.count()));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

void NcclCollectives::finish(const char* operation, ncclResult_t result, Clock::duration limit) {
  const Waiting waiting;
  const Clock::time_point end = Clock::now() + limit;
  while (result == ncclInProgress) {
    if (Clock::now() > end) {
      fail_for(operation,
               fmt::format("the other ranks did not answer within {} s",
                           std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
    }
    std::this_thread::sleep_for(kPollInterval);
    const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &result);
    if (asked != ncclSuccess) result = asked;
  }
  if (result != ncclSuccess) fail(operation, result);
}

void NcclCollectives::expect_peer(const char* operation, int peer) const {
  if (peer >= 0 && peer < size_ && peer != rank_) return;
  throw Error(ExitCode::failed,
              fmt::format("nccl {} on rank {} of {}: expected another rank, found {}", operation,
                          rank_, size_, peer));
}

void NcclCollectives::fail(const char* operation, ncclResult_t result) {
  const std::string reason = text_of(result);
  if (!is_own_failure(result)) fail_for(operation, reason);
  abort();
  throw Error(ExitCode::failed, describe(operation, reason));
}

void NcclCollectives::fail_for(const char* operation, const std::string& reason) {
  abort();
  throw PeerError(describe(operation, reason));
}

void NcclCollectives::abort() {
  const Waiting waiting;
  if (communicator_ != nullptr) static_cast<void>(ncclCommAbort(communicator_));
  communicator_ = nullptr;
}

std::string NcclCollectives::describe(const char* operation, const std::string& reason) const {
  return fmt::format("nccl {} on rank {} of {}: {}", operation, rank_, size_, reason);
}

std::string NcclCollectives::text_of(ncclResult_t result) const {
  std::string text =
      fmt::format("{}: {}", ncclGetErrorString(result), ncclGetLastError(communicator_));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace fp8cal
