#pragma once

#include <mpi.h>

#include <memory>
#include <optional>
#include <string>

#include "coordinator/inputs.hpp"
#include "jobs/job.hpp"
#include "kernels/backend.hpp"
#include "sharding/control.hpp"
#include "sharding/groups.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// What stands ready on a rank before a job's first weight is loaded. Stays where it is: a worker
/// borrows from it.
struct Preparation {
  /// Opens backend and checkpoint, plans, checks the matrix products and meets the other ranks.
  /// Collective over `world`, whose ranks are those of `control`. Throws AgreedError, and Error
  /// where only this rank cannot reach the others.
  Preparation(const Job& job, Inputs read, const Control& control, MPI_Comm world);
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  /// What this rank's worker works on. through: the backend above, or one that passes on to it.
  ShardContext context(Backend& through, ProgressListener& progress);

  const RankPlan& rank_plan() const { return plan.ranks[static_cast<std::size_t>(rank)]; }

  int rank;
  int threads;  ///< of this rank on the host
  Inputs inputs;
  Plan plan;
  std::unique_ptr<Backend> backend;
  std::optional<Checkpoint> checkpoint;
  std::string gemm_check;  ///< what check_gemms says
  Groups groups;
};

/// Throws AgreedError where ranks compute differently: the result would depend on who computed
/// what. Collective.
void check_alike(const Backend& backend, const Control& control);

/// The smallest value on any rank. Collective.
std::uint64_t smallest(std::uint64_t bytes, const Control& control);

/// Throws InputError where there are not as many ranks as runtime.ranks wants.
void check_ranks(const Job& job, const Control& control);

/// This rank's share of the host's cores, at least 1.
int threads_per_rank(const Control& control);

/// What a rank computes on. Its budget: runtime.device_memory, else 90 % of its GPU's, or its share
/// of 80 % of the host's. ranks_on_host: with which it shares the host.
Device device_of(const Job& job, const Backend& backend, int ranks_on_host);

/// The same for a job that is only planned: no GPU need be here where the job asks for the cuda
/// backend and says how much memory there will be; it is taken to have FP8 tensor cores.
Device planned_device(const Job& job, const Control& control, int ranks_on_host);

/// The backend of this rank; ranks of one host take its GPUs in turn. A bad runtime.backend is an
/// InputError.
std::unique_ptr<Backend> open_backend(const Job& job, const Control& control);

}  // namespace fp8cal
