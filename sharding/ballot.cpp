#include "sharding/ballot.hpp"

#include <bit>

#include "sharding/mpi_check.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {

Ballot::Ballot(MPI_Comm world, int stages) {
  FP8CAL_MPI(MPI_Comm_dup(world, &communicator_));
  FP8CAL_MPI(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
  int ranks = 1;
  FP8CAL_MPI(MPI_Comm_size(communicator_, &ranks));
  // Counting takes so many rounds of messages, and MPI goes on with them only where it is called.
  const int rounds = std::bit_width(static_cast<unsigned>(ranks - 1));
  delay_ = static_cast<std::size_t>(stages - 1 + rounds);
}

Ballot::~Ballot() {
  // Votes under way keep the communicator, and write to where they were told to.
  if (votes_.empty()) {
    MPI_Comm_free(&communicator_);
  } else {
    for (std::unique_ptr<Vote>& vote : votes_) static_cast<void>(vote.release());
  }
}

int Ballot::cast(int vote) {
  votes_.push_back(std::make_unique<Vote>());
  Vote& own = *votes_.back();
  own.own = vote;
  FP8CAL_MPI(
      MPI_Iallreduce(&own.own, &own.largest, 1, MPI_INT, MPI_MAX, communicator_, &own.request));
  return votes_.size() > delay_ ? count_first() : 0;
}

void Ballot::close() {
  while (!votes_.empty()) count_first();
}

int Ballot::count_first() {
  const Waiting waiting;
  Vote& first = *votes_.front();
  FP8CAL_MPI(MPI_Wait(&first.request, MPI_STATUS_IGNORE));
  const int largest = first.largest;
  votes_.pop_front();
  return largest;
}

}  // namespace fp8cal
