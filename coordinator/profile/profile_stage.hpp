#pragma once

#include <mpi.h>

#include <memory>
#include <optional>

#include "coordinator/profile/profile_request.hpp"
#include "coordinator/profile/profile_scales.hpp"
#include "jobs/checkpoint.hpp"
#include "kernels/timed_backend.hpp"
#include "sharding/control.hpp"
#include "sharding/decoder_memory.hpp"
#include "sharding/groups.hpp"
#include "sharding/timed_collectives.hpp"

namespace fp8cal {

/// What stands ready on a rank before a profile's first weight is loaded. Stays where it is.
struct ProfileStage {
  /// Opens backend and checkpoint, reads scales, refuses prompts that do not fit, and meets the
  /// other ranks. Throws AgreedError. Collective over `world`.
  ProfileStage(const ProfileRequest& request, const Control& control, MPI_Comm world);
  ProfileStage(const ProfileStage&) = delete;
  ProfileStage& operator=(const ProfileStage&) = delete;

  /// Of each layer, given by the result that the request names; empty where it names none.
  std::vector<LayerScales> scales_of(const std::string& variant, const std::string& kv) const;

  /// What a rank needs for a decoder of that shape.
  DecoderMemory memory_of(const std::string& variant, const DecoderShape& shape) const;

  /// Of device memory, for all buffers together.
  std::uint64_t buffer_bytes() const;

  const ProfileRequest& request;
  const Control& control;
  ModelConfig config;
  Plan plan;
  Device device;
  std::unique_ptr<Backend> backend;
  std::optional<Checkpoint> checkpoint;
  std::optional<ProfileScales> scales;
  Groups groups;
  std::optional<TimedBackend> timed;            ///< passes on to `backend`
  std::optional<TimedCollectives> collectives;  ///< of the slices, through `timed`
};

/// How a prompt of so many tokens is computed, or several up to that.
DecoderShape prompt_shape(std::size_t tokens, const std::string& kv);

/// How a batch of sequences, each of `context` tokens with the next one, is decoded.
DecoderShape batch_shape(std::size_t sequences, std::size_t context, const std::string& kv);

/// No recipe for "bf16".
std::optional<Recipe> recipe_of(const std::string& variant);

}  // namespace fp8cal
