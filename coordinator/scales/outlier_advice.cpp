#include "coordinator/scales/outlier_advice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "coordinator/scales/tensor_diagnostics.hpp"

namespace fp8cal {
namespace {

constexpr double kNoticeable = 6;  // dB: about one effective bit
constexpr double kWorthwhile = 3;  // dB: half the squared error
constexpr std::size_t kChannelsNamed = 3;

/// The largest amax of the channels that are no outliers.
float ordinary_amax(std::span<const float> channel_amax,
                    const std::vector<OutlierChannel>& outliers) {
  const float lowest_outlier = outliers.back().amax;
  float amax = 0.0f;
  for (float channel : channel_amax) {
    if (channel < lowest_outlier) amax = std::max(amax, channel);
  }
  return amax;
}

/// A token without an element above T has an amax of at most T: with its own scale it loses nothing
/// to the outliers. At most as many tokens lose as there are elements above T: few where single
/// tokens fire the outliers (the first of a text, for example); about all where a channel stands
/// out in every token, and then each token's own scale is as bad as the tensor's.
bool few_tokens_have(std::uint64_t elements_above, std::uint64_t tokens) {
  return elements_above < tokens / 10;
}

}  // namespace

std::optional<OutlierAdvice> advise_on_outliers(const std::string& module,
                                                const Distribution& distribution,
                                                std::span<const float> channel_amax, float scale,
                                                Fp8Format format) {
  OutlierAdvice advice{.module = module,
                       .channels = channels_above_median(module, channel_amax, kOutlierFactor)};
  if (advice.channels.empty()) return std::nullopt;

  const float largest = largest_of(format);
  const float ordinary = ordinary_amax(channel_amax, advice.channels);
  const double error = distribution.squared_error_up_to(ordinary, scale, format);
  const double error_without =
      distribution.squared_error_up_to(ordinary, scale_of(ordinary, largest), format);
  advice.cost_db = gain_db(error, error_without);

  const float mse_magnitude =
      distribution.clipping_magnitude({.kind = ScalePolicy::Kind::mse}, format);
  advice.mse_gain_db =
      gain_db(distribution.squared_error(scale, format),
              distribution.squared_error(scale_of(mse_magnitude, largest), format));
  if (advice.cost_db <= kNoticeable && advice.mse_gain_db <= kNoticeable) return std::nullopt;

  const std::uint64_t tokens = distribution.elements() / channel_amax.size();
  if (advice.mse_gain_db >= kWorthwhile) {
    // Costs nothing at run time. So it is where the present policy clips elements that matter (kl
    // and percentile do); hardly ever with amax, because E4M3 rounds an element below its normal
    // numbers with an error of 10^-12 of amax^2: clipping one outlier pays for 10^11 others.
    advice.cure = Cure::mse_policy;
  } else if (few_tokens_have(distribution.elements_above(ordinary), tokens)) {
    advice.cure = Cure::scale_per_token;
  } else {
    // A smaller scale clips what carries the energy, and a token's own scale is no smaller.
    advice.cure = Cure::keep_bf16;
  }
  return advice;
}

std::string to_text(const OutlierAdvice& advice) {
  std::string channels;
  for (std::size_t c = 0; c < std::min(advice.channels.size(), kChannelsNamed); ++c) {
    const OutlierChannel& one = advice.channels[c];
    channels +=
        fmt::format("{}{} ({:.0f} x the median)", c == 0 ? "" : ", ", one.channel, one.over_median);
  }
  if (advice.channels.size() > kChannelsNamed) {
    channels += fmt::format(" and {} more", advice.channels.size() - kChannelsNamed);
  }
  const std::string head = fmt::format("{}: outlier channel{} {}", advice.module,
                                       advice.channels.size() == 1 ? "" : "s", channels);
  switch (advice.cure) {
    case Cure::mse_policy:
      return fmt::format("{}: scales.policy = mse would gain {:.1f} dB", head, advice.mse_gain_db);
    case Cure::scale_per_token:
      return fmt::format(
          "{}: the others lose {:.1f} dB in few tokens: recipe fp8-dynamic would help", head,
          advice.cost_db);
    case Cure::keep_bf16:
      break;
  }
  return fmt::format(
      "{}: the others lose {:.1f} dB in too many tokens for a scale each: keep the module in BF16 "
      "or use recipe fp8-weight-only",
      head, advice.cost_db);
}

}  // namespace fp8cal
