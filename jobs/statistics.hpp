#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fp8cal {

/// What calibration keeps of one observed tensor: its exact distribution.
struct ActivationStatistics {
  std::vector<std::uint64_t> histogram;  ///< [32768]; bin b: elements whose low 15 BF16 bits are b
  std::vector<float> channel_amax;       ///< [channels]
  std::vector<float> sequence_amax;      ///< [sequences], in calibration order
};

/// What is kept of one weight matrix.
struct WeightStatistics {
  std::vector<float> channel_amax;  ///< [output rows]
};

/// The scales of one module under one recipe; what a recipe does not use is empty.
struct ModuleScales {
  std::vector<float> weight_scale;  ///< [1] or [output rows]
  std::vector<float> input_scale;   ///< [1], or empty: per token at run time
};

/// The largest magnitude: of the highest bin that is not empty; 0 where all are.
float amax_of_histogram(const std::vector<std::uint64_t>& histogram);

}  // namespace fp8cal
