#include "coordinator/protocol/advice.hpp"

#include <fmt/format.h>

namespace fp8cal {
namespace {

constexpr std::size_t kFewest = 32;
constexpr std::size_t kRecommendedFrom = 128;
constexpr std::size_t kRecommendedTo = 256;
constexpr std::size_t kMost = 512;
constexpr std::size_t kRecommendedLength = 2048;

}  // namespace

std::vector<std::string> protocol_warnings(const Job& job) {
  if (job.calibration.dataset.empty()) {
    return {fmt::format(
        "the checkpoint is {} already and is evaluated as it is: calibration.*, scales.* and "
        "output.checkpoint are not used",
        job.scales.recipes.front())};
  }
  const std::size_t samples = job.calibration.samples;
  if (samples < kFewest) {
    return {fmt::format("calibration.samples = {}: fewer than {} sequences give unstable scales",
                        samples, kFewest)};
  }
  if (samples > kMost) {
    return {fmt::format("calibration.samples = {}: more than {} sequences gain nothing", samples,
                        kMost)};
  }
  return {};
}

std::string protocol_note(const Job& job) {
  const auto& [dataset, fields, samples, length, seed] = job.calibration;
  const bool recommended =
      samples >= kRecommendedFrom && samples <= kRecommendedTo && length == kRecommendedLength;
  if (dataset.empty() || recommended || !protocol_warnings(job).empty()) return "";
  return fmt::format("calibration on {} x {} tokens: {} to {} sequences of {} are recommended",
                     samples, length, kRecommendedFrom, kRecommendedTo, kRecommendedLength);
}

}  // namespace fp8cal
