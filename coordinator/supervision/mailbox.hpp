#pragma once

#include <mpi.h>

#include <optional>
#include <string>
#include <vector>

namespace fp8cal {

/// Small messages between ranks that never wait for anyone. For one thread, beside which others may
/// use MPI.
class Mailbox {
 public:
  /// Duplicates `communicator`. Collective.
  explicit Mailbox(MPI_Comm communicator);
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  /// Collective; messages that arrived and were not taken are lost.
  ~Mailbox();

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// False where the last message to this rank is still under way: try again later.
  bool send(int to, const std::string& bytes);
  /// Whether all messages are on their way for good.
  bool all_sent();

  struct Message {
    int from;
    std::string bytes;
  };
  /// The next message that has arrived, in the order in which each rank sent them.
  std::optional<Message> take();

 private:
  struct Sending {
    MPI_Request request = MPI_REQUEST_NULL;
    std::string bytes;
  };

  static bool is_done(Sending& one);

  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  std::vector<Sending> sending_;  // one a rank
};

}  // namespace fp8cal
