#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "coordinator/audit/attribute_text.hpp"
#include "coordinator/audit/compare_parts.hpp"
#include "coordinator/audit/flow_order.hpp"

namespace fp8cal {
namespace {

constexpr const char* kParent = "parent_digest";
constexpr const char* kWeightsDigest = "weights_digest";
/// Digests of what is compared itself.
constexpr const char* kCalibrationDigest = "calibration_tokens_sha256";
constexpr const char* kEvaluationDigest = "evaluation_tokens_sha256";

bool equal(const Attributes& a, const Attributes& b, const std::string& key) {
  const auto in_a = a.find(key);
  const auto in_b = b.find(key);
  if (in_a == a.end() || in_b == b.end()) return in_a == a.end() && in_b == b.end();
  return in_a->second == in_b->second;
}

/// Another place to compute may have other numerics, and so other parents.
bool may_differ(const Attributes& a, const Attributes& b, const std::string& key) {
  if (key == kParent) return a.contains(key) && b.contains(key);
  return std::ranges::find(kNumericsKeys, key) != kNumericsKeys.end();
}

/// What is wrong with the model comes first, whence a result was derived last.
std::vector<std::string> job_keys(const Attributes& a, const Attributes& b) {
  std::set<std::string> all;
  for (const Attributes* side : {&a, &b}) {
    for (const auto& [key, value] : *side) all.insert(key);
  }
  for (const char* later : {kWeightsDigest, kCalibrationDigest, kEvaluationDigest}) {
    all.erase(later);
  }
  std::vector<std::string> keys(all.begin(), all.end());
  std::ranges::stable_sort(keys, {}, [](const std::string& key) {
    if (key.starts_with("model.")) return 0;
    return key == kParent ? 2 : 1;
  });
  return keys;
}

void compare_attribute(Kind kind, const Attributes& a, const Attributes& b, const std::string& key,
                       bool tolerated, DifferenceLedger& ledger) {
  ledger.count(kind);
  if (equal(a, b, key)) return;
  ledger.add(kind,
             {.object = "/job",
              .at = "attribute " + key,
              .a = attribute_text(a, key),
              .b = attribute_text(b, key)},
             !tolerated);
}

/// name: of the dataset; the tokens lie in rows of `length`.
void compare_ids(const char* name, const char* row, std::size_t length_a, std::size_t length_b,
                 const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b,
                 DifferenceLedger& ledger) {
  ledger.count(Kind::tokens);
  if (length_a != length_b || a.size() != b.size()) {
    const auto shape = [](std::size_t size, std::size_t length) {
      return fmt::format("[{}, {}]", length == 0 ? 0 : size / length, length);
    };
    ledger.add(Kind::tokens,
               {.object = name,
                .at = "shape",
                .a = shape(a.size(), length_a),
                .b = shape(b.size(), length_b),
                .size = std::numeric_limits<double>::infinity()},
               true);
    return;
  }
  std::size_t differing = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    if (differing++ == 0) first = i;
  }
  if (differing == 0) return;
  ledger.add(Kind::tokens,
             {.object = name,
              .at = fmt::format("{} {}, position {}", row, first / length_a, first % length_a),
              .a = fmt::to_string(a[first]),
              .b = fmt::to_string(b[first]),
              .size = static_cast<double>(differing),
              .of = fmt::to_string(a.size())},
             true);
}

}  // namespace

void compare_job(const Result& a, const Result& b, DifferenceLedger& ledger) {
  for (const std::string& key : job_keys(a.job, b.job)) {
    const bool tolerated = !ledger.tolerances().exact() && may_differ(a.job, b.job, key);
    compare_attribute(Kind::job, a.job, b.job, key, tolerated, ledger);
  }
}

void compare_tokens(const Result& a, const Result& b, DifferenceLedger& ledger) {
  compare_ids("/job/calibration_tokens", "window", a.calibration.sequence_length,
              b.calibration.sequence_length, a.calibration.tokens, b.calibration.tokens, ledger);
  compare_ids("/job/sample_ids", "draw", 1, 1, a.sample_ids, b.sample_ids, ledger);
  compare_ids("/job/evaluation_tokens", "window", a.evaluation.sequence_length,
              b.evaluation.sequence_length, a.evaluation.tokens, b.evaluation.tokens, ledger);
  for (const char* key : {kCalibrationDigest, kEvaluationDigest}) {
    compare_attribute(Kind::tokens, a.job, b.job, key, false, ledger);
  }
}

void compare_weights(const Result& a, const Result& b, DifferenceLedger& ledger) {
  compare_attribute(Kind::weights, a.job, b.job, kWeightsDigest, false, ledger);
  std::set<ModuleOrder> modules;
  for (const Result* side : {&a, &b}) {
    for (const auto& [module, one] : side->weights) modules.insert(module_order(module));
  }
  for (const ModuleOrder& module : modules) {
    const std::string object = "/weights/" + module.name;
    const auto in_a = a.weights.find(module.name);
    const auto in_b = b.weights.find(module.name);
    if (in_a == a.weights.end() || in_b == b.weights.end()) {
      ledger.add_missing(Kind::weights, object, in_a != a.weights.end());
      continue;
    }
    ledger.compare_floats(Kind::weights, object + "/channel_amax", "row", in_a->second.channel_amax,
                          in_b->second.channel_amax);
  }
}

}  // namespace fp8cal
