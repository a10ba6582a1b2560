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

/// Negative log-likelihoods of one variant ("bf16" or a recipe), natural logarithm.
struct Perplexity {
  std::size_t windows = 0;
  std::size_t predictions = 0;  ///< per window: sequence_length - 1
  std::vector<float> nll;       ///< [windows, predictions]

  std::uint64_t tokens() const { return nll.size(); }
  /// exp(mean(nll)); the sum in double, in token order.
  double ppl() const;
};

/// Token windows as the model was given them.
struct TokenWindows {
  std::size_t sequence_length = 0;
  std::vector<std::uint32_t> tokens;  ///< [windows, sequence_length]

  std::size_t windows() const { return sequence_length == 0 ? 0 : tokens.size() / sequence_length; }
};

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
  std::map<std::string, std::map<std::string, ModuleScales>> scales;  ///< recipe -> module -> scales
  std::map<std::string, Perplexity> perplexity;                       ///< variant -> NLLs
};

}  // namespace fp8cal
