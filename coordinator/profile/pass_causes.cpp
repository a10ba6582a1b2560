#include "coordinator/profile/pass_causes.hpp"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

namespace fp8cal {
namespace {

constexpr std::pair<std::string_view, Cause> kCauseOf[] = {
    {"attention", Cause::attention},    {"cached_attention", Cause::attention},
    {"rope_append", Cause::attention},  {"quantize", Cause::scaling},
    {"quantize_rows", Cause::scaling},  {"dequantize", Cause::scaling},
    {"all_gather", Cause::collectives}, {"all_reduce", Cause::collectives},
};

CauseTime& at(std::array<CauseTime, kCauses>& causes, Cause cause) {
  return causes[static_cast<std::size_t>(cause)];
}

}  // namespace

Cause cause_of(const std::string& kernel) {
  if (kernel.starts_with("multiply")) return Cause::products;  // with its shape
  const auto* known = std::find_if(std::begin(kCauseOf), std::end(kCauseOf),
                                   [&](const auto& one) { return one.first == kernel; });
  return known == std::end(kCauseOf) ? Cause::norms : known->second;
}

std::array<CauseTime, kCauses> causes_of(const KernelProfile& profile, double pause,
                                         double seconds) {
  std::array<CauseTime, kCauses> causes{};
  double sum = 0;
  for (const KernelTime& kernel : profile.kernels) {
    CauseTime& cause = at(causes, cause_of(kernel.kernel));
    const double own = std::max(0.0, kernel.seconds - pause * static_cast<double>(kernel.calls));
    cause.calls += kernel.calls;
    cause.seconds += own;
    cause.flop += kernel.flop;
    cause.bytes += kernel.bytes;
    sum += own;
  }
  if (sum > seconds) {
    for (CauseTime& cause : causes) cause.seconds *= seconds / sum;
  }
  at(causes, Cause::gaps).seconds = std::max(0.0, seconds - sum);
  return causes;
}

double pause_of(Backend& backend) {
  constexpr std::size_t kPairs = 64;
  const std::unique_ptr<Recording> marks = backend.record([&] {
    for (std::size_t i = 0; i < 2 * kPairs; ++i) backend.mark(i);
  });
  double sum = 0;
  for (int run = 0; run < 2; ++run) marks->replay();  // the first one warms up
  for (std::size_t i = 0; i < kPairs; ++i) sum += backend.seconds_between(2 * i, 2 * i + 1);
  return sum / kPairs;
}

}  // namespace fp8cal
