#include "coordinator/protocol/protocol.hpp"

#include <fmt/format.h>

#include "coordinator/model_attributes.hpp"

namespace fp8cal {
namespace {

std::string last_part(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

std::string tokens_text(std::size_t rows, std::size_t length, const std::string& dataset) {
  return fmt::format("{} x {} tokens{}", rows, length, dataset.empty() ? "" : " of " + dataset);
}

}  // namespace

Protocol protocol_of(const Result& result) {
  const auto dataset = [&result](const char* key) {
    return last_part(find_attribute<std::string>(result.provenance, key).value_or(""));
  };
  return {.calibration_dataset = dataset("calibration_dataset"),
          .samples = result.calibration.windows(),
          .sample_length = result.calibration.sequence_length,
          .seed = find_attribute<std::int64_t>(result.job, "calibration.seed"),
          .evaluation_dataset = dataset("evaluation_dataset"),
          .windows = result.evaluation.windows(),
          .window_length = result.evaluation.sequence_length};
}

std::string text_of(const Protocol& protocol) {
  std::string text;
  if (protocol.samples > 0) {
    text = "calibrated on " +
           tokens_text(protocol.samples, protocol.sample_length, protocol.calibration_dataset);
    if (protocol.seed) text += fmt::format(" (seed {})", *protocol.seed);
    text += ", ";
  }
  return text + "evaluated on " +
         tokens_text(protocol.windows, protocol.window_length, protocol.evaluation_dataset);
}

}  // namespace fp8cal
