#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fp8cal {

/// Counters of a histogram: a BF16 magnitude has 15 bits.
inline constexpr std::size_t kHistogramSize = 32768;

/// The largest magnitude of a tensor in the first sequences of the calibration.
struct AmaxSnapshot {
  std::uint32_t sequences = 0;
  float amax = 0;

  friend bool operator==(const AmaxSnapshot&, const AmaxSnapshot&) = default;
};

/// What calibration keeps of one observed tensor: its exact distribution.
struct ActivationStatistics {
  std::vector<std::uint64_t>
      histogram;  ///< [kHistogramSize]; bin b: elements whose low 15 BF16 bits are b
  std::vector<float> channel_amax;      ///< [channels]
  std::vector<AmaxSnapshot> snapshots;  ///< after 32, 64, 128, 256 and 512 sequences
};

/// What is kept of one weight matrix.
struct WeightStatistics {
  std::vector<float> channel_amax;  ///< [output rows]
};

/// The scales of one module under one recipe; what a recipe or module does not use is empty.
struct ModuleScales {
  std::vector<float> weight_scale;  ///< [1] or [output rows]
  std::vector<float> input_scale;   ///< [1], or empty: per token at run time, or none at all
  std::vector<float> k_scale;       ///< [1] or [KV heads]: keys after RoPE
  std::vector<float> v_scale;       ///< [1] or [KV heads]

  friend bool operator==(const ModuleScales&, const ModuleScales&) = default;
};

/// What quantizing a tensor does to it: of an observed tensor by a static scale exact, from its
/// histogram; of a weight as it was measured.
struct QuantizationError {
  std::uint64_t elements = 0;
  std::uint64_t clipped = 0;  ///< beyond the largest FP8 number
  std::uint64_t flushed = 0;  ///< not zero, and quantized to zero
  double energy = 0;          ///< sum of x^2
  double squared_error = 0;   ///< sum of (x - quantized x)^2

  friend bool operator==(const QuantizationError&, const QuantizationError&) = default;
};

/// The snapshots of a tensor whose largest magnitude in each sequence, in calibration order, is
/// this; as many as there are sequences for.
std::vector<AmaxSnapshot> snapshots_of(std::span<const float> sequence_amax);

/// The largest magnitude: of the highest bin that is not empty; 0 where all are.
float amax_of_histogram(const std::vector<std::uint64_t>& histogram);

}  // namespace fp8cal
