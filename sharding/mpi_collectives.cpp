#include "sharding/mpi_collectives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "jobs/error.hpp"
#include "sharding/mpi_check.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 28;  // elements: MPI counts are int
constexpr int kTag = 2;

template <class T>
void all_reduce(T* values, std::size_t count, MPI_Datatype type, MPI_Op operation,
                MPI_Comm communicator) {
  const Waiting waiting;
  for (std::size_t at = 0; at < count; at += kPiece) {
    const int piece = static_cast<int>(std::min(kPiece, count - at));
    FP8CAL_MPI(MPI_Allreduce(MPI_IN_PLACE, values + at, piece, type, operation, communicator));
  }
}

}  // namespace

MpiCollectives::MpiCollectives(MPI_Comm parent, int color, int key) {
  const Waiting waiting;
  FP8CAL_MPI(MPI_Comm_split(parent, color, key, &communicator_));
  FP8CAL_MPI(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
  FP8CAL_MPI(MPI_Comm_rank(communicator_, &rank_));
  FP8CAL_MPI(MPI_Comm_size(communicator_, &size_));
}

MpiCollectives::~MpiCollectives() { MPI_Comm_free(&communicator_); }

void MpiCollectives::begin_gather(const void* sent, void* received, std::size_t bytes, int) {
  if (bytes > INT_MAX) {
    throw Error(ExitCode::failed,
                fmt::format("gather: expected at most {} bytes a rank, found {}; lower "
                            "runtime.microbatch",
                            INT_MAX, bytes));
  }
  const int count = static_cast<int>(bytes);
  const Waiting waiting;
  FP8CAL_MPI(MPI_Allgather(sent, count, MPI_BYTE, received, count, MPI_BYTE, communicator_));
}

void MpiCollectives::all_max(std::uint32_t* values, std::size_t count) {
  all_reduce(values, count, MPI_UINT32_T, MPI_MAX, communicator_);
}

void MpiCollectives::all_sum(std::uint64_t* values, std::size_t count) {
  all_reduce(values, count, MPI_UINT64_T, MPI_SUM, communicator_);
}

void MpiCollectives::all_sum(std::uint32_t* values, std::size_t count) {
  all_reduce(values, count, MPI_UINT32_T, MPI_SUM, communicator_);
}

void MpiCollectives::send(const void* data, std::size_t bytes, int to) {
  const Waiting waiting;
  const char* from = static_cast<const char*>(data);
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    const int piece = static_cast<int>(std::min(kPiece, bytes - at));
    FP8CAL_MPI(MPI_Send(from + at, piece, MPI_BYTE, to, kTag, communicator_));
  }
}

void MpiCollectives::receive(void* data, std::size_t bytes, int from) {
  const Waiting waiting;
  char* into = static_cast<char*>(data);
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    const int piece = static_cast<int>(std::min(kPiece, bytes - at));
    FP8CAL_MPI(MPI_Recv(into + at, piece, MPI_BYTE, from, kTag, communicator_, MPI_STATUS_IGNORE));
  }
}

}  // namespace fp8cal
