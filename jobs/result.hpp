#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "jobs/statistics.hpp"

namespace fp8cal {

/// An HDF5 attribute: a string, an i64, an f64 or a list of strings.
using Attribute = std::variant<std::string, std::int64_t, double, std::vector<std::string>>;
using Attributes = std::map<std::string, Attribute>;

/// Of the provenance, a list of strings that the file has as a dataset, since no attribute may be
/// as long: what each rank did when (coordinator/timeline.hpp).
inline constexpr const char* kTimeline = "timeline";

/// How one variant ("bf16" or a recipe) predicts the evaluation text, token by token.
struct Perplexity {
  std::size_t windows = 0;
  std::size_t predictions = 0;  ///< per window: sequence_length - 1
  std::vector<float> nll = {};  ///< [windows, predictions], negative log-likelihoods in nats

  /// Of the next-token distributions of this variant and bf16, [windows, predictions]; empty for
  /// bf16, and where there was no bf16 to compare with.
  std::vector<float> kl = {};               ///< divergence from bf16's, in nats
  std::vector<std::uint8_t> same_top = {};  ///< 1: the same token is the most likely

  std::uint64_t tokens() const { return nll.size(); }
  /// exp(mean(nll)); the sum in double, in token order.
  double ppl() const;
  /// Mean of `kl`, which must not be empty; the sum in double, in token order.
  double mean_kl() const;
  /// Share of tokens, of at least one, with the same most likely token.
  double top1_agreement() const;
};

/// The perplexity of a variant minus that of bf16, and where it lies with 95 % confidence.
struct PerplexityDifference {
  double difference = 0;
  double low = 0;
  double high = 0;
};

/// Token windows as the model was given them.
struct TokenWindows {
  std::size_t sequence_length = 0;
  std::vector<std::uint32_t> tokens;  ///< [windows, sequence_length]

  std::size_t windows() const { return sequence_length == 0 ? 0 : tokens.size() / sequence_length; }
};

/// What marks the weight of a module among the diagnostics: as in a checkpoint.
inline constexpr const char* kWeightSuffix = ".weight";

/// Everything that a result file holds (DESIGN of the file: docs/result-file.md). Keys of the maps
/// are module paths of the checkpoint, such as "model.layers.0.self_attn.q_proj".
struct Result {
  Attributes provenance;  ///< may differ between two equal runs
  Attributes job;         ///< determines the content; equal jobs have equal digests
  TokenWindows calibration;
  TokenWindows evaluation;
  std::vector<std::uint32_t> sample_ids;  ///< [samples]: drawn windows of the calibration stream
  std::map<std::string, ActivationStatistics> activations;
  std::map<std::string, std::string> activation_aliases;  ///< another name -> a key of activations
  std::map<std::string, WeightStatistics> weights;
  std::map<std::string, std::map<std::string, ModuleScales>>
      scales;  ///< recipe -> module -> scales
  /// recipe -> observed tensor (a key of `activations`), or module + kWeightSuffix -> what
  /// quantizing does to it
  std::map<std::string, std::map<std::string, QuantizationError>> diagnostics;
  std::map<std::string, Perplexity> perplexity;  ///< variant -> its predictions
  /// variant -> its distance from bf16; absent with fewer than two windows
  std::map<std::string, PerplexityDifference> differences;
};

}  // namespace fp8cal
