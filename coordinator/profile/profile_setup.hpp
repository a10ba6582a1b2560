#pragma once

#include <mpi.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  /// Opens backend, checkpoint and scales, refuses prompts that do not fit, limits the device
  /// memory and meets the other ranks, each of which has a slice of every weight. Collective over
  /// `world`, whose ranks are those of `control`. Throws AgreedError, and Error where only this
  /// rank cannot reach the others.
  ProfileSetup(const ProfileRequest& request, const Control& control, MPI_Comm world);

  /// Of each layer, by the result that the request names; empty where it names none: made up.
  std::vector<LayerScales> scales_of(const std::string& variant, const std::string& kv) const;

  int threads;  ///< of this rank on the host
  std::unique_ptr<Backend> backend;
  Device device;  ///< with the smallest budget of any rank
  ModelConfig config;
  std::optional<Checkpoint> checkpoint;
  std::optional<ProfileScales> scales;  ///< none: the request names no result
  std::shared_ptr<Collectives> slices;
};

}  // namespace fp8cal
