#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/timed_backend.hpp"

namespace fp8cal {

/// One stage of a job, timed on all ranks.
struct StageTime {
  std::string stage;        ///< "load", "forward", "calibrate", "evaluate bf16", ...
  double seconds = 0;       ///< of the slowest rank
  std::size_t tokens = 0;   ///< of all ranks; 0 where tokens do not apply
  double flop = 0;          ///< of all ranks, by flop_per_token; 0 likewise
  std::uint64_t bytes = 0;  ///< loaded by all ranks; 0 where that says nothing of the speed
};

/// Where the time of one microbatch goes on rank 0.
struct PassProfile {
  std::string pass;        ///< the name of the stage that it is a part of
  std::size_t tokens = 0;  ///< of the microbatch
  KernelProfile profile;
};

/// What a bench measured.
struct BenchReport {
  std::string version;
  std::string model;  ///< path
  std::uint64_t linear_elements = 0;
  std::string backend;              ///< "cpu" or "cuda"
  std::vector<std::string> places;  ///< of every rank: host and device
  std::string partition;
  std::size_t microbatch = 0;  ///< sequences
  std::size_t chunks = 0;      ///< of layers; weights are streamed where it is not 1
  std::string gemm_check;
  std::vector<StageTime> stages;
  std::vector<PassProfile> profiles;
};

/// What observing costs: calibrate over forward, in percent of forward. Both must be among
/// `stages`.
double observer_percent(const std::vector<StageTime>& stages);

/// For people: a table of stages, then one of kernels for each profile.
std::string bench_text(const BenchReport& report);

/// The same as one JSON object, on one line. A figure that does not apply to a stage or kernel is
/// left out of it.
std::string bench_json(const BenchReport& report);

}  // namespace fp8cal
