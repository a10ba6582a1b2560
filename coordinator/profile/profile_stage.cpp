#include "coordinator/profile/profile_stage.hpp"

#include <algorithm>
#include <limits>

#include "coordinator/inputs.hpp"
#include "coordinator/preparation.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

/// Products of so many rows are as fast as any, and what they need is a small part of a GPU.
constexpr std::size_t kMostChunk = 8192;

DType dtype_of(const std::string& kv) {
  return kv == "bf16" ? DType::bf16 : kv == "e4m3" ? DType::e4m3 : DType::e5m2;
}

/// The job that opening backend and checkpoint asks for.
Job job_of(const ProfileRequest& request) {
  Job job;
  job.model.path = request.model;
  job.runtime.backend = request.backend;
  job.runtime.threads = request.threads;
  if (request.device_memory > 0) job.runtime.device_memory = request.device_memory;
  return job;
}

/// The smallest of all ranks.
std::uint64_t smallest(std::uint64_t bytes, const Control& control) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::uint64_t>(
      -control.max(-static_cast<std::int64_t>(std::min(bytes, kMost))));
}

}  // namespace

ProfileStage::ProfileStage(const ProfileRequest& asked, const Control& communicator, MPI_Comm world)
    : request(asked), control(communicator) {
  const Job job = job_of(request);
  run_agreed(control, [&] {
    config = read_model_config(request.model);
    plan = tensor_plan(config, control.size());
    backend = open_backend(job, control);
  });
  device = device_of(job, *backend, control.ranks_on_host());
  device.budget = smallest(device.budget, control);
  run_agreed(control, [&] {
    check_prompts_fit(
        request,
        [&](const std::string& variant, const std::string& kv, std::size_t tokens) {
          return memory_of(variant, prompt_shape(tokens, kv)).total();
        },
        device.budget);
    checkpoint = open_checkpoint(job, config);
  });
  if (!request.scales.empty()) scales = read_profile_scales(request, config, control);
  backend->limit_memory(buffer_bytes());
  groups = make_groups(world, plan, *backend);
  timed.emplace(*backend);
  collectives.emplace(*groups.slices, *timed);
}

std::uint64_t ProfileStage::buffer_bytes() const {
  return device.budget - memory_of("bf16", {}).runtime;
}

std::vector<LayerScales> ProfileStage::scales_of(const std::string& variant,
                                                 const std::string& kv) const {
  if (!scales) return {};
  return scales->of(variant, kv, config.num_hidden_layers);
}

DecoderMemory ProfileStage::memory_of(const std::string& variant, const DecoderShape& shape) const {
  return decoder_memory(config, recipe_of(variant), shape, control.size(), device);
}

DecoderShape prompt_shape(std::size_t tokens, const std::string& kv) {
  return {.sequences = 1,
          .capacity = tokens,
          .chunk = std::min(tokens, kMostChunk),
          .kv = dtype_of(kv)};
}

DecoderShape batch_shape(std::size_t sequences, std::size_t context, const std::string& kv) {
  return {.sequences = sequences, .capacity = context, .chunk = 0, .kv = dtype_of(kv)};
}

std::optional<Recipe> recipe_of(const std::string& variant) {
  if (variant == "bf16") return std::nullopt;
  return find_recipe(variant);
}

}  // namespace fp8cal
