#include "coordinator/scales/entropy_policy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "coordinator/scales/fp8_codes.hpp"

namespace fp8cal {
namespace {

/// A smaller magnitude has to be better by more than the sums' rounding.
constexpr double kRounding = 1e-12;

double times_log(double x) { return x > 0 ? x * std::log(x) : 0; }

/// The divergence at one candidate after another, by the chain rule: that of the codes, P's topmost
/// split into m's bin and its others, plus what each code's magnitudes differ from their mean. No
/// term is negative, so a candidate is given up as soon as it is too bad. Where n elements are not
/// zero and n_m of them lie up to m, P has shares of n, Q of n_m.
class Divergence {
 public:
  Divergence(std::span<const MagnitudeSums> below, Fp8Format format)
      : below_(below), codes_(Fp8Codes::of(format)), largest_(largest_of(format)) {
    concentration_.reserve(below.size());
    concentration_.assign(2, 0.0);  // nothing and the zeros
    for (std::size_t bin = 1; bin + 1 < below.size(); ++bin) {
      concentration_.push_back(concentration_.back() + times_log(elements(bin, bin + 1)));
    }
  }

  /// With m the magnitude of `bin`; something above `useful` where it is above that.
  double at(std::size_t bin, double useful) const {
    const float scale = scale_of(bf16_to_float(static_cast<bf16_bits>(bin)), largest_);
    if (scale <= 0.0f) return std::numeric_limits<double>::infinity();
    const std::size_t top = std::min(codes_.end(codes_.largest() - 1, scale), bin);
    const double all = elements(1, below_.size() - 1);
    double sum = all * std::log(elements(1, bin + 1) / all) + of_top(top, bin);
    std::size_t first = 1;
    for (std::size_t code = 0; first < top && sum <= useful * all; ++code) {
      const std::size_t end = std::min(codes_.end(code, scale), top);
      sum += unevenness(first, end);
      first = end;
    }
    return sum / all;
  }

 private:
  /// The topmost code's share: bins from `top` up to m's, `bin`.
  double of_top(std::size_t top, std::size_t bin) const {
    const double mass = elements(top, bin + 1);
    const double mean = mass / magnitudes(top, bin + 1);
    const double at_m = elements(bin, below_.size() - 1);
    const double others = elements(top, bin);
    double sum = at_m * std::log(at_m / mean);
    if (others > 0) sum += others * std::log(others / (mass - mean)) + unevenness(top, bin);
    return sum;
  }

  /// sum h log(h / mean) over the occurring magnitudes of the bins [first, end).
  double unevenness(std::size_t first, std::size_t end) const {
    const double mass = elements(first, end);
    if (mass == 0) return 0;
    return concentration_[end] - concentration_[first] -
           mass * std::log(mass / magnitudes(first, end));
  }

  double elements(std::size_t first, std::size_t end) const {
    return static_cast<double>(below_[end].elements - below_[first].elements);
  }
  double magnitudes(std::size_t first, std::size_t end) const {
    return static_cast<double>(below_[end].magnitudes - below_[first].magnitudes);
  }

  std::span<const MagnitudeSums> below_;
  const Fp8Codes& codes_;
  float largest_;
  std::vector<double> concentration_;  // [bins + 1]: sum of h log h over the bins below, not zero's
};

}  // namespace

float least_divergence(std::span<const MagnitudeSums> below, Fp8Format format) {
  const Divergence divergence(below, format);
  const std::uint64_t fewest = Fp8Codes::of(format).largest();
  double least = std::numeric_limits<double>::infinity();
  std::size_t best = 0;
  for (std::size_t bin = below.size() - 2; bin > 0; --bin) {
    if (below[bin + 1].elements == below[bin].elements) continue;
    if (best == 0) best = bin;
    if (below[bin + 1].magnitudes - below[1].magnitudes < fewest) break;
    const double one = divergence.at(bin, least);
    if (one < least - kRounding) {
      least = one;
      best = bin;
    }
  }
  return bf16_to_float(static_cast<bf16_bits>(best));
}

}  // namespace fp8cal
