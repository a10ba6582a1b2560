#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/scales/distribution.hpp"
#include "coordinator/scales/outliers.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// A channel whose amax is more than this many times the median channel's is an outlier. Channels
/// of one tensor commonly differ by a factor of 2 to 4, and FP8's exponents take far more than 8
/// before the others lose anything: what is called an outlier stands out, and none that could cost
/// anything is missed.
inline constexpr float kOutlierFactor = 8.0f;

/// What helps a tensor whose outlier channels spoil it under one static scale.
enum class Cure : std::uint8_t {
  mse_policy,       ///< scales.policy = mse
  scale_per_token,  ///< recipe fp8-dynamic
  keep_bf16,        ///< the module in BF16, or recipe fp8-weight-only
};

struct OutlierAdvice {
  std::string module;
  std::vector<OutlierChannel> channels;  ///< the outliers, highest first
  /// 10 log10(E(scale) / E(T / largest)): T the largest amax of the other channels, E the squared
  /// error of the elements of at most T. Infinite where only the former error is not 0.
  double cost_db = 0;
  double mse_gain_db = 0;  ///< in the whole tensor's squared error, by policy mse's scale
  Cure cure = Cure::keep_bf16;
};

/// Advice on the input of a linear layer, `module`, whose elements are tokens times channels.
/// Nothing where it has no outlier channels, or they cost the others at most 6 dB (a bit) and the
/// policy mse would gain at most as much. channel_amax [channels]; scale: the tensor's, of
/// `format`.
std::optional<OutlierAdvice> advise_on_outliers(const std::string& module,
                                                const Distribution& distribution,
                                                std::span<const float> channel_amax, float scale,
                                                Fp8Format format);

/// One line for the user, without its end.
std::string to_text(const OutlierAdvice& advice);

}  // namespace fp8cal
