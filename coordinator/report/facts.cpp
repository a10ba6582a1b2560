#include "coordinator/report/facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "coordinator/audit/attribute_text.hpp"

namespace fp8cal {
namespace {

/// Shown by other figures, or too long for a line.
constexpr std::array<const char*, 4> kElsewhere = {"job_file", "command_line", "timeline",
                                                   "warnings"};

std::vector<Fact> all_of(const Attributes& attributes) {
  std::vector<Fact> facts;
  for (const auto& [name, value] : attributes) {
    if (std::ranges::find(kElsewhere, name) != kElsewhere.end()) continue;
    facts.push_back({name, attribute_text(attributes, name)});
  }
  return facts;
}

std::string text_size(const TokenWindows& windows) {
  return windows.windows() == 0
             ? ""
             : fmt::format("{} x {} tokens", windows.windows(), windows.sequence_length);
}

}  // namespace

Facts facts_of(const StoredResult& stored) {
  const Result& result = stored.result;
  Facts facts;
  facts.origin.push_back({"content digest", stored.digest});
  const auto add = [&](const char* name, const Attributes& attributes, const char* key) {
    if (attributes.contains(key)) facts.origin.push_back({name, attribute_text(attributes, key)});
  };
  add("derived from", result.job, "parent_digest");
  add("fp8cal", result.provenance, "version");
  add("model", result.provenance, "model_path");
  add("weights digest", result.job, "weights_digest");
  add("tokenizer SHA-256", result.job, "tokenizer_sha256");
  add("seed", result.job, "calibration.seed");
  add("calibration text", result.provenance, "calibration_dataset");
  const auto add_size = [&](const char* name, const std::string& size) {
    if (!size.empty()) facts.origin.push_back({name, size});
  };
  add_size("calibrated on", text_size(result.calibration));
  add("evaluation text", result.provenance, "evaluation_dataset");
  add_size("evaluated on", text_size(result.evaluation));
  add("recipes", result.job, "scales.recipe");
  add("policy", result.job, "scales.policy");
  add("numerics", result.job, "numerics");
  add("partition", result.provenance, "partition");
  add("ran on", result.provenance, "places");
  add("started", result.provenance, "started");
  add("finished", result.provenance, "finished");
  facts.job = all_of(result.job);
  facts.provenance = all_of(result.provenance);
  return facts;
}

}  // namespace fp8cal
