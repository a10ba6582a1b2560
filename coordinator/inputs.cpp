#include "coordinator/inputs.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "coordinator/input_reader.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "worker/shard_loader.hpp"

namespace fp8cal {
namespace {

void broadcast(const Control& control, std::vector<std::uint32_t>& values) {
  const std::string bytes = control.broadcast(
      {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::uint32_t)});
  values.resize(bytes.size() / sizeof(std::uint32_t));
  std::memcpy(values.data(), bytes.data(), bytes.size());
}

}  // namespace

Workload Inputs::workload(const Job& job) const {
  std::size_t copy_bytes = 1;
  for (const std::string& recipe : job.scales.recipes) {
    if (find_recipe(recipe).input == Recipe::Input::bf16) copy_bytes = 2;
  }
  if (config.stored_recipe && copy_bytes == 1) copy_bytes = 0;
  return {.calibration_sequences = calibration.windows(),
          .calibration_length = calibration.sequence_length,
          .evaluation_windows = evaluation.windows(),
          .evaluation_length = evaluation.sequence_length,
          .microbatch = job.runtime.microbatch.value_or(0),
          .compares = job.evaluation.compare,
          .copy_bytes = copy_bytes};
}

Checkpoint open_checkpoint(const Job& job, const ModelConfig& config) {
  Checkpoint checkpoint = Checkpoint::open(job.model.path);
  const auto expect = [&](const WeightShard& shard) { expect_shard(checkpoint, shard); };
  expect(embedding_shard(config, 1, 0));
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) expect(shard);
  }
  expect(final_norm_shard(config));
  expect(head_shard(config, 1, 0));
  return checkpoint;
}

Job fit_to_model(Job job) {
  const ModelConfig config = read_model_config(job.model.path);
  if (!config.stored_recipe) {
    if (!job.calibration.dataset.empty()) return job;
    throw InputError("calibration.dataset", "missing key", "FILE, for a model in BF16", "nothing");
  }
  const auto refuse = [&](const char* key, bool given) {
    if (!given) return;
    throw InputError(key, "needs the BF16 weights", "a model in BF16",
                     "a checkpoint that is " + config.stored_recipe->name + " already");
  };
  refuse("evaluation.max_delta_ppl", job.evaluation.max_delta_ppl.has_value());
  refuse("evaluation.max_kl", job.evaluation.max_kl.has_value());
  job.output.checkpoint.clear();
  job.calibration = {};
  job.scales = {.recipes = {config.stored_recipe->name}, .policy = {}};
  job.evaluation.compare = false;
  return job;
}

std::vector<Inputs> read_inputs(const std::vector<Job>& jobs, const Control& control) {
  tell_stage("read the datasets");
  std::vector<Inputs> all(jobs.size());
  run_agreed(control, [&] {
    const ModelConfig config = read_model_config(jobs.front().model.path);
    InputReader reader(config);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      all[i].config = config;
      if (control.rank() == 0) all[i] = reader.read(jobs[i]);
    }
  });
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    broadcast(control, all[i].calibration.tokens);
    broadcast(control, all[i].evaluation.tokens);
    if (!all[i].config.stored_recipe) {
      all[i].calibration.sequence_length = jobs[i].calibration.sequence_length;
    }
    all[i].evaluation.sequence_length = jobs[i].evaluation.sequence_length;
  }
  return all;
}

Inputs read_inputs(const Job& job, const Control& control) {
  return std::move(read_inputs(std::vector<Job>{job}, control).front());
}

}  // namespace fp8cal
