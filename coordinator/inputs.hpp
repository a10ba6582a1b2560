#pragma once

#include <string>
#include <vector>

#include "jobs/checkpoint.hpp"
#include "jobs/job.hpp"
#include "jobs/model_config.hpp"
#include "jobs/result.hpp"
#include "sharding/control.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// What a job reads before any weight: the same on every rank.
struct Inputs {
  ModelConfig config;
  TokenWindows calibration;
  TokenWindows evaluation;
  std::vector<std::uint32_t> sample_ids;
  std::string tokenizer_sha256;  ///< empty where both datasets hold token ids
  std::string overlap;           ///< overlap_mark of the windows, on rank 0

  Workload workload(const Job& job) const;
};

/// The job as its model can run it: nothing but an evaluation where the checkpoint is FP8 already.
/// Throws InputError where a BF16 model has no calibration.dataset, and where an FP8 one has
/// quality gates, for which there is no BF16 to hold it against.
Job fit_to_model(Job job);

/// The texts of a job as token ids, before anything is drawn from them.
struct TokenStreams {
  std::vector<std::uint32_t> calibration;  ///< empty where nothing is calibrated
  std::vector<std::uint32_t> evaluation;
  std::string tokenizer_sha256;  ///< as Inputs has it
};

/// Reads and tokenizes the datasets. Throws InputError as read_dataset and Tokenizer::load do, and
/// for sequences beyond the model's context and ids beyond its vocabulary.
TokenStreams read_streams(const Job& job, const ModelConfig& config);

/// Draws the sequences and holds them against the evaluation windows. Throws InputError for windows
/// that are not there, and as check_overlap does.
Inputs draw_inputs(const Job& job, const ModelConfig& config, const TokenStreams& streams);

/// What draw_inputs gives: rank 0 reads the datasets, every rank the model's config. Throws
/// AgreedError. Collective.
Inputs read_inputs(const Job& job, const Control& control);

/// Opens the model's checkpoint and checks that every tensor that any rank will load is there in
/// its shape, so that a bad one is refused before work begins.
Checkpoint open_checkpoint(const Job& job, const ModelConfig& config);

}  // namespace fp8cal
