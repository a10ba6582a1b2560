#include "coordinator/inputs.hpp"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "jobs/dataset.hpp"
#include "jobs/error.hpp"
#include "jobs/sampling.hpp"
#include "jobs/tokenizer.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

void read_on_rank_0(const Job& job, Inputs& inputs) {
  const Dataset calibration = read_dataset({job.calibration.dataset, job.calibration.fields});
  const Dataset evaluation = read_dataset({job.evaluation.dataset, job.evaluation.fields});
  std::optional<Tokenizer> tokenizer;
  if (!calibration.tokenized || !evaluation.tokenized) {
    tokenizer = Tokenizer::load(std::filesystem::path(job.model.path) / "tokenizer.json");
    inputs.tokenizer_sha256 = tokenizer->sha256();
  }
  const Tokenizer* tokens = tokenizer ? &*tokenizer : nullptr;

  const auto calibration_ids = calibration_stream(calibration, tokens);
  check_token_ids(calibration_ids, inputs.config.vocab_size, job.calibration.dataset);
  DrawnWindows drawn =
      draw_windows(calibration_ids, job.calibration.sequence_length, job.calibration.samples,
                   job.calibration.seed, job.calibration.dataset);
  inputs.calibration = std::move(drawn.windows);
  inputs.sample_ids = std::move(drawn.sample_ids);

  const auto evaluation_ids = evaluation_stream(evaluation, tokens);
  check_token_ids(evaluation_ids, inputs.config.vocab_size, job.evaluation.dataset);
  inputs.evaluation = cut_windows(evaluation_ids, job.evaluation.sequence_length,
                                  job.evaluation.windows, job.evaluation.dataset);
}

void check_length(const std::string& key, std::size_t length, const ModelConfig& config) {
  if (length <= config.max_position_embeddings) return;
  throw InputError(key, "longer than the model's context",
                   fmt::format("at most {} tokens", config.max_position_embeddings),
                   std::to_string(length));
}

void broadcast(const Control& control, std::vector<std::uint32_t>& values) {
  const std::string bytes = control.broadcast(
      {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::uint32_t)});
  values.resize(bytes.size() / sizeof(std::uint32_t));
  std::memcpy(values.data(), bytes.data(), bytes.size());
}

}  // namespace

Workload Inputs::workload(std::optional<std::size_t> microbatch) const {
  return {.calibration_sequences = calibration.windows(),
          .calibration_length = calibration.sequence_length,
          .evaluation_windows = evaluation.windows(),
          .evaluation_length = evaluation.sequence_length,
          .microbatch = microbatch.value_or(0)};
}

Checkpoint open_checkpoint(const Job& job, const ModelConfig& config) {
  Checkpoint checkpoint = Checkpoint::open(job.model.path);
  const auto expect = [&](const WeightShard& shard) { checkpoint.expect(shard.name, shard.shape); };
  expect(embedding_shard(config, 1, 0));
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const WeightShard& shard : layer_shards(config, layer, 1, 0)) expect(shard);
  }
  expect(final_norm_shard(config));
  expect(head_shard(config, 1, 0));
  return checkpoint;
}

Inputs read_inputs(const Job& job, const Control& control) {
  Inputs inputs;
  run_agreed(control, [&] {
    inputs.config = read_model_config(job.model.path);
    check_length("calibration.sequence_length", job.calibration.sequence_length, inputs.config);
    check_length("evaluation.sequence_length", job.evaluation.sequence_length, inputs.config);
    if (control.rank() == 0) read_on_rank_0(job, inputs);
  });
  broadcast(control, inputs.calibration.tokens);
  broadcast(control, inputs.evaluation.tokens);
  inputs.calibration.sequence_length = job.calibration.sequence_length;
  inputs.evaluation.sequence_length = job.evaluation.sequence_length;
  return inputs;
}

}  // namespace fp8cal
