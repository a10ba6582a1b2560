#include "coordinator/profile/profile_setup.hpp"

#include "coordinator/preparation.hpp"
#include "coordinator/profile/pass_shapes.hpp"
#include "sharding/agreement.hpp"
#include "sharding/groups.hpp"
#include "sharding/runtime_bytes.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

/// The settings that a job would say this with.
Job job_of(const ProfileRequest& request) {
  Job job;
  job.model.path = request.model;
  job.runtime.backend = request.backend;
  if (request.device_memory != 0) job.runtime.device_memory = request.device_memory;
  if (request.threads != 0) job.runtime.threads = request.threads;
  return job;
}

Plan plan_of(int ranks) {
  Plan plan;
  plan.grid.tensor = ranks;
  plan.ranks.resize(static_cast<std::size_t>(ranks));
  for (int slice = 0; slice < ranks; ++slice) {
    plan.ranks[static_cast<std::size_t>(slice)].slice = slice;
  }
  return plan;
}

/// Each prompt fits, with every variant and kind of keys and values.
void check_fits(const ProfileRequest& request, const ModelConfig& config, int ranks,
                const Device& device) {
  const auto needed = [&](const std::string& variant, const std::string& kv, std::size_t tokens) {
    const DecoderShape shape = shape_of({false, variant, kv, 1, tokens});
    return decoder_memory(config, recipe_of(variant), shape, ranks, device).total();
  };
  check_prompts_fit(request, needed, device.budget);
}

}  // namespace

ProfileSetup::ProfileSetup(const ProfileRequest& request, const Control& control, MPI_Comm world) {
  const Job job = job_of(request);
  const Plan plan = plan_of(control.size());
  threads = job.runtime.threads.value_or(threads_per_rank(control));
  tell_stage("open the device");
  run_agreed(control, [&] { backend = open_backend(job, control); });
  check_alike(*backend, control);
  device = device_of(job, *backend, control.ranks_on_host());
  device.budget = smallest(device.budget, control);
  tell_stage("open the checkpoint");
  run_agreed(control, [&] {
    config = read_model_config(request.model);
    check_fits(request, config, control.size(), device);
    const std::uint64_t runtime = runtime_bytes(plan.grid, device);
    backend->limit_memory(device.budget - runtime);
    checkpoint = open_checkpoint(job, config);
  });
  if (!request.scales.empty()) scales = read_profile_scales(request, config, *checkpoint, control);
  tell_stage("connect the ranks");
  slices = make_groups(world, plan, *backend).slices;
}

std::vector<LayerScales> ProfileSetup::scales_of(const std::string& variant,
                                                 const std::string& kv) const {
  if (!scales) return {};
  return scales->of(variant, kv, config.num_hidden_layers);
}

}  // namespace fp8cal
