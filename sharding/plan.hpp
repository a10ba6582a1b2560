#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jobs/model_config.hpp"
#include "sharding/grid.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {

/// The sequences that a job computes.
struct Workload {
  std::size_t calibration_sequences = 0;
  std::size_t calibration_length = 0;  ///< tokens
  std::size_t evaluation_windows = 0;
  std::size_t evaluation_length = 0;  ///< tokens
  std::size_t microbatch = 0;         ///< sequences computed at once; 0: the plan decides
  bool compares = false;              ///< recipes with BF16
  /// A weight, of the largest copy of linear weights that a recipe computes with: 1 in FP8, 2 where
  /// it dequantizes, 0 where it takes them as they are stored.
  std::size_t copy_bytes = 1;

  /// What ranks share along `sequences`: those to calibrate on, or else the windows.
  std::size_t shared_sequences() const {
    return calibration_sequences > 0 ? calibration_sequences : evaluation_windows;
  }
  std::size_t max_length() const;  ///< of a sequence, tokens
  std::size_t max_tokens() const;  ///< of one microbatch
};

/// What one rank does.
struct RankPlan {
  int stage = 0;  ///< position along `layers`
  int share = 0;  ///< position along `sequences`
  int slice = 0;  ///< position along `tensor`
  Range layers;
  Range calibration;      ///< sequences
  Range evaluation;       ///< windows
  bool embeds = false;    ///< first stage
  bool predicts = false;  ///< last stage
};

/// What a rank computes on.
struct Device {
  std::uint64_t budget = 0;  ///< bytes that a rank may take of it, everything included
  bool is_gpu = false;       ///< which has a runtime of its own, and wants many tokens at once
  bool dequantizes = false;  ///< Fp8Products::dequantized
};

/// Predicted memory of one rank, bytes of device memory.
struct MemoryEstimate {
  std::uint64_t weights = 0;     ///< BF16 weights held at once
  std::uint64_t quantized = 0;   ///< their FP8 copy
  std::uint64_t workspace = 0;   ///< activations of one microbatch
  std::uint64_t statistics = 0;  ///< histograms and maxima
  std::uint64_t reference = 0;   ///< hidden states of BF16 that recipes are compared with
  std::uint64_t runtime = 0;     ///< what CUDA, cuBLASLt and NCCL take for themselves

  /// Statistics are merged and gone before weights are quantized.
  std::uint64_t total() const {
    return weights + std::max(quantized, statistics) + reference + workspace + runtime;
  }
};

/// Who does what. The same on every rank; a pure function of its arguments.
struct Plan {
  Grid grid;
  std::string reason;              ///< why this grid
  Workload work;                   ///< with the microbatch
  std::size_t layers_at_once = 0;  ///< layers of a rank that are computed together
  std::vector<RankPlan> ranks;
  MemoryEstimate memory;         ///< of the rank that needs most
  bool keeps_reference = false;  ///< whole on the device; else on the host, a microbatch here

  /// Weights pass through the device a few layers at a time, the next ones are loaded while these
  /// compute, and each pass's hidden states are kept aside.
  bool streams() const { return layers_at_once < ranks.front().layers.count; }
};

/// mode: a partition.mode. Throws InputError where the ranks cannot be used evenly, or where the
/// job cannot fit, naming the smallest budget and the number of ranks that would do.
Plan make_plan(const ModelConfig& config, const Workload& work, const std::string& mode, int ranks,
               const Device& device);

/// Each rank has one slice of every tensor, and there is no other work: for decoding. memory: see
/// decoder_memory.
Plan tensor_plan(const ModelConfig& config, int ranks);

/// Predicted peak of the rank that needs most, with `layers_at_once` layers computed together and
/// the reference on the host.
MemoryEstimate estimate_memory(const ModelConfig& config, const Workload& work, const Grid& grid,
                               std::size_t layers_at_once, const Device& device);

}  // namespace fp8cal
