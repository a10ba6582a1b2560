#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "jobs/quantization_config.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// What a model card tells of.
struct CardSubject {
  const Result& result;
  const std::string& digest;  ///< of the result's content
  const Recipe& recipe;
  CheckpointFormat format;
  const nlohmann::json& config;  ///< of the model that was quantized
};

/// The README.md of a checkpoint, as the Hugging Face hub shows it: front matter, then what was
/// done, with what, and what it cost. Text from outside stands in code spans. The same subject
/// gives the same text.
std::string model_card(const CardSubject& subject);

}  // namespace fp8cal
