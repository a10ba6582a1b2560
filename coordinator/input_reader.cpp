#include "coordinator/input_reader.hpp"

#include <fmt/format.h>

#include "coordinator/protocol/overlap_check.hpp"
#include "jobs/error.hpp"
#include "jobs/sampling.hpp"

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

}  // namespace

Inputs InputReader::read(const Job& job) {
  check_lengths(job, config_);
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

}  // namespace fp8cal
