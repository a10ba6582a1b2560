#include "coordinator/supervision/mailbox.hpp"

#include <algorithm>

#include "sharding/mpi_check.hpp"

namespace fp8cal {
namespace {

constexpr int kTag = 3;

}  // namespace

Mailbox::Mailbox(MPI_Comm communicator) {
  FP8CAL_MPI(MPI_Comm_dup(communicator, &communicator_));
  FP8CAL_MPI(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
  FP8CAL_MPI(MPI_Comm_rank(communicator_, &rank_));
  FP8CAL_MPI(MPI_Comm_size(communicator_, &size_));
  sending_.resize(static_cast<std::size_t>(size_));
}

Mailbox::~Mailbox() { MPI_Comm_free(&communicator_); }

bool Mailbox::send(int to, const std::string& bytes) {
  Sending& one = sending_[static_cast<std::size_t>(to)];
  if (!is_done(one)) return false;
  one.bytes = bytes;
  FP8CAL_MPI(MPI_Isend(one.bytes.data(), static_cast<int>(one.bytes.size()), MPI_BYTE, to, kTag,
                       communicator_, &one.request));
  return true;
}

bool Mailbox::all_sent() { return std::all_of(sending_.begin(), sending_.end(), is_done); }

std::optional<Mailbox::Message> Mailbox::take() {
  int arrived = 0;
  MPI_Status status{};
  FP8CAL_MPI(MPI_Iprobe(MPI_ANY_SOURCE, kTag, communicator_, &arrived, &status));
  if (arrived == 0) return std::nullopt;
  int count = 0;
  FP8CAL_MPI(MPI_Get_count(&status, MPI_BYTE, &count));
  Message message{status.MPI_SOURCE, std::string(static_cast<std::size_t>(count), '\0')};
  FP8CAL_MPI(MPI_Recv(message.bytes.data(), count, MPI_BYTE, message.from, kTag, communicator_,
                      MPI_STATUS_IGNORE));
  return message;
}

bool Mailbox::is_done(Sending& one) {
  int done = 0;
  FP8CAL_MPI(MPI_Test(&one.request, &done, MPI_STATUS_IGNORE));
  return done != 0;
}

}  // namespace fp8cal
