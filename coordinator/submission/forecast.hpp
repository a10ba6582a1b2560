#pragma once

#include <cstdint>
#include <optional>

#include "coordinator/inputs.hpp"
#include "coordinator/submission/site_config.hpp"
#include "jobs/job.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// How many nodes a job has, and ranks on each.
struct Shape {
  int nodes = 1;
  int ranks_per_node = 1;

  int ranks() const { return nodes * ranks_per_node; }
};

/// What a job will need, as far as it can be known before it runs.
struct Forecast {
  Plan plan;
  std::uint64_t budget = 0;            ///< device memory of a rank
  std::uint64_t host_memory = 0;       ///< bytes of a node, for all of its ranks
  std::uint64_t result_bytes = 0;      ///< of output.result
  std::uint64_t checkpoint_bytes = 0;  ///< of output.checkpoint; 0: none
  std::uint64_t progress_bytes = 0;    ///< of saved progress, at most
  std::optional<double> seconds;       ///< none on CPUs, whose speed varies too much
};

/// Bytes at which the forecast takes a node to read and write files, each second.
inline constexpr double kFileRate = 1e9;

/// What a rank may use: runtime.device_memory, else 90 % of site.gpu_memory, or on CPUs its share
/// of 80 % of a node's memory. node_memory: bytes; 0: not known. Throws InputError where none of
/// these is known.
Device batch_device(const Job& job, const SiteConfig& site, std::uint64_t node_memory,
                    const Shape& shape);

/// variants: how many are evaluated, BF16 included. Throws InputError as make_plan does.
Forecast make_forecast(const Job& job, const Inputs& inputs, std::size_t variants,
                       const Shape& shape, const SiteConfig& site, const Device& device);

}  // namespace fp8cal
