#include "coordinator/inputs.hpp"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/token_cache.hpp"
#include "jobs/dataset.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "jobs/sampling.hpp"
#include "jobs/tokenizer.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"
#include "worker/shard_loader.hpp"

namespace fp8cal {
namespace {

std::vector<std::uint32_t> token_stream(const Job& job, const Dataset& dataset, StreamKind kind,
                                        const Tokenizer* tokenizer) {
  if (!dataset.tokenized && tokenizer != nullptr && !job.runtime.token_cache.empty()) {
    return cached_stream(job.runtime.token_cache, dataset, kind, *tokenizer);
  }
  return kind == StreamKind::calibration ? calibration_stream(dataset, tokenizer)
                                         : evaluation_stream(dataset, tokenizer);
}

void check_length(const std::string& key, std::size_t length, const ModelConfig& config) {
  if (length <= config.max_position_embeddings) return;
  throw InputError(key, "longer than the model's context",
                   fmt::format("at most {} tokens", config.max_position_embeddings),
                   std::to_string(length));
}

void check_lengths(const Job& job, const ModelConfig& config) {
  if (!config.stored_recipe) {
    check_length("calibration.sequence_length", job.calibration.sequence_length, config);
  }
  check_length("evaluation.sequence_length", job.evaluation.sequence_length, config);
}

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

TokenStreams read_streams(const Job& job, const ModelConfig& config) {
  check_lengths(job, config);
  std::optional<Dataset> calibration;
  if (!config.stored_recipe) {
    calibration = read_dataset({job.calibration.dataset, job.calibration.fields});
  }
  const Dataset evaluation = read_dataset({job.evaluation.dataset, job.evaluation.fields});
  TokenStreams streams;
  std::optional<Tokenizer> tokenizer;
  if ((calibration && !calibration->tokenized) || !evaluation.tokenized) {
    tokenizer = Tokenizer::load(std::filesystem::path(job.model.path) / "tokenizer.json");
    streams.tokenizer_sha256 = tokenizer->sha256();
  }
  const Tokenizer* tokens = tokenizer ? &*tokenizer : nullptr;
  if (calibration) {
    streams.calibration = token_stream(job, *calibration, StreamKind::calibration, tokens);
    check_token_ids(streams.calibration, config.vocab_size, job.calibration.dataset);
  }
  streams.evaluation = token_stream(job, evaluation, StreamKind::evaluation, tokens);
  check_token_ids(streams.evaluation, config.vocab_size, job.evaluation.dataset);
  return streams;
}

Inputs draw_inputs(const Job& job, const ModelConfig& config, const TokenStreams& streams) {
  Inputs inputs;
  inputs.config = config;
  inputs.tokenizer_sha256 = streams.tokenizer_sha256;
  if (!config.stored_recipe) {
    DrawnWindows drawn =
        draw_windows(streams.calibration, job.calibration.sequence_length, job.calibration.samples,
                     job.calibration.seed, job.calibration.dataset);
    inputs.calibration = std::move(drawn.windows);
    inputs.sample_ids = std::move(drawn.sample_ids);
  }
  inputs.evaluation = cut_windows(streams.evaluation, job.evaluation.sequence_length,
                                  job.evaluation.windows, job.evaluation.dataset);
  inputs.overlap = check_overlap(job, inputs.calibration, inputs.evaluation);
  return inputs;
}

Inputs read_inputs(const Job& job, const Control& control) {
  tell_stage("read the datasets");
  Inputs inputs;
  run_agreed(control, [&] {
    inputs.config = read_model_config(job.model.path);
    if (control.rank() != 0) return;
    inputs = draw_inputs(job, inputs.config, read_streams(job, inputs.config));
  });
  broadcast(control, inputs.calibration.tokens);
  broadcast(control, inputs.evaluation.tokens);
  if (!inputs.config.stored_recipe) {
    inputs.calibration.sequence_length = job.calibration.sequence_length;
  }
  inputs.evaluation.sequence_length = job.evaluation.sequence_length;
  return inputs;
}

}  // namespace fp8cal
