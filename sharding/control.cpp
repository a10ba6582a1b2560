#include "sharding/control.hpp"

#include <algorithm>
#include <cstdint>

#include "sharding/mpi_check.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 30;  // MPI counts are int
constexpr int kTag = 1;

void send_bytes(const std::string& bytes, int to, MPI_Comm communicator) {
  const std::uint64_t size = bytes.size();
  FP8CAL_MPI(MPI_Send(&size, 1, MPI_UINT64_T, to, kTag, communicator));
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    const int count = static_cast<int>(std::min(kPiece, bytes.size() - at));
    FP8CAL_MPI(MPI_Send(bytes.data() + at, count, MPI_BYTE, to, kTag, communicator));
  }
}

std::string receive_bytes(int from, MPI_Comm communicator) {
  std::uint64_t size = 0;
  FP8CAL_MPI(MPI_Recv(&size, 1, MPI_UINT64_T, from, kTag, communicator, MPI_STATUS_IGNORE));
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    const int count = static_cast<int>(std::min(kPiece, bytes.size() - at));
    FP8CAL_MPI(
        MPI_Recv(bytes.data() + at, count, MPI_BYTE, from, kTag, communicator, MPI_STATUS_IGNORE));
  }
  return bytes;
}

}  // namespace

Control::Control(MPI_Comm communicator) {
  const Waiting waiting;
  FP8CAL_MPI(MPI_Comm_dup(communicator, &communicator_));
  FP8CAL_MPI(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
  FP8CAL_MPI(MPI_Comm_rank(communicator_, &rank_));
  FP8CAL_MPI(MPI_Comm_size(communicator_, &size_));
  MPI_Comm host = MPI_COMM_NULL;
  FP8CAL_MPI(MPI_Comm_split_type(communicator_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host));
  FP8CAL_MPI(MPI_Comm_size(host, &ranks_on_host_));
  FP8CAL_MPI(MPI_Comm_rank(host, &rank_on_host_));
  FP8CAL_MPI(MPI_Comm_free(&host));
}

Control::~Control() { MPI_Comm_free(&communicator_); }

std::string Control::broadcast(std::string bytes) const {
  const Waiting waiting;
  std::uint64_t size = bytes.size();
  FP8CAL_MPI(MPI_Bcast(&size, 1, MPI_UINT64_T, 0, communicator_));
  bytes.resize(size);
  for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
    const int count = static_cast<int>(std::min(kPiece, bytes.size() - at));
    FP8CAL_MPI(MPI_Bcast(bytes.data() + at, count, MPI_BYTE, 0, communicator_));
  }
  return bytes;
}

std::vector<std::string> Control::gather(const std::string& bytes) const {
  const Waiting waiting;
  if (rank_ != 0) {
    send_bytes(bytes, 0, communicator_);
    return {};
  }
  std::vector<std::string> gathered = {bytes};
  for (int from = 1; from < size_; ++from) {
    gathered.push_back(receive_bytes(from, communicator_));
  }
  return gathered;
}

std::int64_t Control::max(std::int64_t value) const {
  const Waiting waiting;
  std::int64_t largest = value;
  FP8CAL_MPI(MPI_Allreduce(&value, &largest, 1, MPI_INT64_T, MPI_MAX, communicator_));
  return largest;
}

}  // namespace fp8cal
