#pragma once

#include <mpi.h>

#include <memory>
#include <optional>

#include "coordinator/profile/profile_request.hpp"
#include "coordinator/profile/profile_scales.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/control.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// What stands ready on a rank before anything is measured.
struct ProfileSetup {
  /// Opens backend, checkpoint and scales, limits the device memory and meets the other ranks, each
  /// of which has a slice of every weight. Collective over `world`, whose ranks are those of
  /// `control`. Throws AgreedError, and Error where only this rank cannot reach the others.
  ProfileSetup(const ProfileRequest& request, const Control& control, MPI_Comm world);

  int threads;  ///< of this rank on the host
  std::unique_ptr<Backend> backend;
  Device device;  ///< with the smallest budget of any rank
  ModelConfig config;
  std::optional<Checkpoint> checkpoint;
  std::optional<ProfileScales> scales;
  std::shared_ptr<Collectives> slices;
};

}  // namespace fp8cal
