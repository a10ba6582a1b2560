#include "coordinator/profile/causes.hpp"

#include <algorithm>
#include <map>

namespace fp8cal {

Cause cause_of(const std::string& kernel) {
  static const std::map<std::string, Cause, std::less<>> kCausesOfKernels = {
      {"multiply", Cause::products},
      {"multiply_scaled", Cause::products},
      {"multiply_few", Cause::products},
      {"multiply_few_silu", Cause::products},
      {"quantize_multiply_few", Cause::products},
      {"attention", Cause::attention},
      {"cached_attention", Cause::attention},
      {"decode_attention", Cause::attention},
      {"rope", Cause::attention},
      {"rope_append", Cause::attention},
      {"quantize", Cause::scaling},
      {"quantize_rows", Cause::scaling},
      {"dequantize", Cause::scaling},
      {"embed", Cause::norms},
      {"add", Cause::norms},
      {"add_rms_norm", Cause::norms},
      {"add_rms_norm_quantize", Cause::norms},
      {"silu_multiply", Cause::norms},
      {"top_tokens", Cause::norms},
      {"next_tokens", Cause::norms},
      {"all_gather", Cause::collectives},
      {"all_reduce", Cause::collectives},
      {"interleave_columns", Cause::collectives},
  };
  const auto found = kCausesOfKernels.find(kernel.substr(0, kernel.find(' ')));  // without shapes
  return found == kCausesOfKernels.end() ? Cause::gaps : found->second;
}

std::array<CauseTime, kCauses> causes_of(const KernelProfile& profile, double pause,
                                         double median) {
  std::array<CauseTime, kCauses> causes{};
  double sum = 0;
  for (const KernelTime& kernel : profile.kernels) {
    const Cause cause = cause_of(kernel.kernel);
    if (cause == Cause::gaps) continue;
    const double seconds =
        std::max(0.0, kernel.seconds - pause * static_cast<double>(kernel.calls));
    CauseTime& time = causes[static_cast<std::size_t>(cause)];
    time.calls += kernel.calls;
    time.seconds += seconds;
    time.flop += kernel.flop;
    time.bytes += kernel.bytes;
    sum += seconds;
  }
  if (sum > median) {
    for (CauseTime& time : causes) time.seconds *= median / sum;
  }
  causes[static_cast<std::size_t>(Cause::gaps)].seconds = std::max(0.0, median - sum);
  return causes;
}

}  // namespace fp8cal
