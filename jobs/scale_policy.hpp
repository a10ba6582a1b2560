#pragma once

#include <string>

namespace fp8cal {

/// A scales.policy: which magnitude of an exact distribution the largest FP8 number stands for.
/// What lies above it saturates.
struct ScalePolicy {
  enum class Kind {
    amax,        ///< the largest
    percentile,  ///< the smallest that `percent` of the elements do not exceed
    mse,         ///< the one with the least squared error
    kl,          ///< the one with the least Kullback-Leibler divergence
  };
  Kind kind = Kind::amax;
  double percent = 100;  ///< of percentile, above 0 and at most 100
};

/// "amax", "percentile:99.99", "mse" or "kl"; throws InputError.
ScalePolicy parse_scale_policy(const std::string& text);

}  // namespace fp8cal
