#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// What the figures of a result were measured by, to be told beside them. Datasets are the last
/// parts of their paths, or empty where the result does not name them.
struct Protocol {
  std::string calibration_dataset;
  std::size_t samples = 0;  ///< sequences to calibrate on; 0: none, the checkpoint was FP8 already
  std::size_t sample_length = 0;  ///< tokens
  std::optional<std::int64_t> seed;
  std::string evaluation_dataset;
  std::size_t windows = 0;
  std::size_t window_length = 0;  ///< tokens
};

Protocol protocol_of(const Result& result);

/// "calibrated on 128 x 256 tokens of train.txt (seed 1234), evaluated on 95 x 512 tokens of
/// test.txt".
std::string text_of(const Protocol& protocol);

}  // namespace fp8cal
