#pragma once

#include <mpi.h>

#include <memory>

#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// The groups that a rank exchanges device memory with.
struct Groups {
  std::shared_ptr<Collectives> slices;    ///< same stage and share: all-gathers of activations
  std::shared_ptr<Collectives> stage;     ///< same stage: merges of statistics
  std::shared_ptr<Collectives> pipeline;  ///< same slice and share, in stage order: hidden states
};

/// Collective over `world`, whose ranks are those of `plan`. The backend decides what carries the
/// data, and must outlive the groups.
Groups make_groups(MPI_Comm world, const Plan& plan, Backend& backend);

}  // namespace fp8cal
