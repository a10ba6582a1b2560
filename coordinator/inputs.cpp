#include "coordinator/inputs.hpp"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <optional>
#include <utility>

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

/// Reads what jobs on one model read before any weight, on rank 0. Texts that several of them share
/// are tokenized once.
class InputReader {
 public:
  explicit InputReader(const ModelConfig& config) : config_(config) {}

  Inputs read(const Job& job);

 private:
  struct Text {
    Dataset dataset;  // without its documents, once they are tokens
    std::vector<std::uint32_t> ids;
    bool is_read = false;  // ids are there
  };

  Text& open(const DatasetSpec& spec, StreamKind kind);
  const std::vector<std::uint32_t>& ids(const Job& job, Text& text, StreamKind kind);

  const ModelConfig& config_;
  std::optional<Tokenizer> tokenizer_;
  std::map<std::pair<std::vector<std::string>, StreamKind>, Text> texts_;  // by path and fields
};

Inputs InputReader::read(const Job& job) {
  Inputs inputs;
  inputs.config = config_;
  Text* calibration = nullptr;
  if (!config_.stored_recipe) {
    calibration = &open({job.calibration.dataset, job.calibration.fields}, StreamKind::calibration);
  }
  Text& evaluation = open({job.evaluation.dataset, job.evaluation.fields}, StreamKind::evaluation);
  if ((calibration != nullptr && !calibration->dataset.tokenized) ||
      !evaluation.dataset.tokenized) {
    if (!tokenizer_) {
      tokenizer_ = Tokenizer::load(std::filesystem::path(job.model.path) / "tokenizer.json");
    }
    inputs.tokenizer_sha256 = tokenizer_->sha256();
  }
  if (calibration != nullptr) {
    DrawnWindows drawn = draw_windows(ids(job, *calibration, StreamKind::calibration),
                                      job.calibration.sequence_length, job.calibration.samples,
                                      job.calibration.seed, job.calibration.dataset);
    inputs.calibration = std::move(drawn.windows);
    inputs.sample_ids = std::move(drawn.sample_ids);
  }
  inputs.evaluation =
      cut_windows(ids(job, evaluation, StreamKind::evaluation), job.evaluation.sequence_length,
                  job.evaluation.windows, job.evaluation.dataset);
  inputs.overlap = check_overlap(job, inputs.calibration, inputs.evaluation);
  return inputs;
}

InputReader::Text& InputReader::open(const DatasetSpec& spec, StreamKind kind) {
  std::vector<std::string> name = {spec.path};
  name.insert(name.end(), spec.fields.begin(), spec.fields.end());
  const auto [found, is_new] = texts_.try_emplace({std::move(name), kind});
  if (is_new) found->second.dataset = read_dataset(spec);
  return found->second;
}

const std::vector<std::uint32_t>& InputReader::ids(const Job& job, Text& text, StreamKind kind) {
  if (text.is_read) return text.ids;
  text.ids = token_stream(job, text.dataset, kind, tokenizer_ ? &*tokenizer_ : nullptr);
  check_token_ids(text.ids, config_.vocab_size, text.dataset.path);
  text.dataset.documents.clear();
  text.is_read = true;
  return text.ids;
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
    for (const Job& job : jobs) {
      if (!config.stored_recipe) {
        check_length("calibration.sequence_length", job.calibration.sequence_length, config);
      }
      check_length("evaluation.sequence_length", job.evaluation.sequence_length, config);
    }
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
