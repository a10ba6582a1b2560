#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace fp8cal {

/// "fp8cal: LINE" on standard error, in one piece.
void print_error(const std::string& line);

/// "rank 2 (n1: NVIDIA H100 80GB HBM3, GPU 1)"; the place is left out where it is empty.
std::string rank_text(int rank, const std::string& place);

/// How long a rank lets lower ones speak first, where several may know of one failure.
std::chrono::duration<double> turn_of(int rank);

/// How much longer a rank waits before it speaks of what may only be the echo of another's failure:
/// launchers end the others sooner, also those that catch SIGTERM.
inline constexpr std::chrono::duration<double> kEchoDelay{2};

/// Lets others speak first. echo: the failure may come from that of another rank.
void wait_for_turn(int rank, bool echo);

/// Whoever writes down what end_all_ranks and end_this_rank say, and the code; empty: nobody.
/// Called from the thread that ends the job, which waits for it for some seconds. To be set while
/// no other thread could end the job.
void set_witness(std::function<void(const std::string& line, int code)> witness);

/// Says the line and ends all ranks with the code, within seconds, whatever state MPI is in: what
/// MPI does not end, the launcher does, because this process is gone.
[[noreturn]] void end_all_ranks(const std::string& line, int code);

/// The same without MPI: the launcher ends the other ranks, if there are any.
[[noreturn]] void end_this_rank(const std::string& line, int code);

}  // namespace fp8cal
