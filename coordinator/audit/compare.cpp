#include "coordinator/audit/attribute_text.hpp"
#include "coordinator/audit/compare_parts.hpp"

namespace fp8cal {
namespace {

constexpr KindName kKindNames[kKinds] = {
    {"job", "job keys", ""},
    {"tokens", "tokens", "tokens"},
    {"weights", "weights", "BF16 steps"},
    {"histograms", "histograms", "counts moved"},
    {"amax", "activation amax", "BF16 steps"},
    {"channel_amax", "channel amax", "BF16 steps"},
    {"scales", "scales", "BF16 steps"},
    {"diagnostics", "diagnostics", "relative"},
    {"perplexity", "perplexity", "perplexity"},
    {"nll", "NLL", "nats"},
    {"kl", "KL divergence", "nats"},
    {"same_top", "same top token", "tokens"},
    {"intervals", "intervals", "perplexity"},
};

std::string relation_of(const StoredResult& a, const StoredResult& b) {
  const auto derived = [](const StoredResult& child, const StoredResult& parent) {
    return attribute_text(child.result.job, "parent_digest") == parent.digest;
  };
  if (derived(b, a)) return "the second was derived from the first by 'fp8cal scales'";
  if (derived(a, b)) return "the first was derived from the second by 'fp8cal scales'";
  return "";
}

}  // namespace

const KindName& name_of(Kind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

Comparison compare(const StoredResult& a, const StoredResult& b, const Tolerances& tolerances) {
  Comparison comparison;
  comparison.digest_a = a.digest;
  comparison.digest_b = b.digest;
  comparison.tolerances = tolerances;
  comparison.contents = contents_of(a.result);
  comparison.relation = relation_of(a, b);
  DifferenceLedger ledger(comparison);
  for (const auto part : {compare_job, compare_tokens, compare_weights, compare_activations,
                          compare_scales, compare_diagnostics, compare_perplexity}) {
    part(a.result, b.result, ledger);
  }
  if (!comparison.cause && tolerances.exact() && a.digest != b.digest) {
    comparison.cause =
        Difference{.object = "/", .at = "attribute content_digest", .a = a.digest, .b = b.digest};
  }
  comparison.runs = compare_runs(a.result, b.result);
  if (comparison.cause) {
    comparison.verdict = Verdict::different;
  } else if (a.digest != b.digest) {
    comparison.verdict = Verdict::within_tolerance;
  }
  return comparison;
}

std::vector<RunDifference> compare_runs(const Result& a, const Result& b) {
  Attributes in_a = a.provenance;
  Attributes in_b = b.provenance;
  for (const char* key : kNumericsKeys) {
    if (a.job.contains(key)) in_a[key] = a.job.at(key);
    if (b.job.contains(key)) in_b[key] = b.job.at(key);
  }
  Attributes keys = in_a;
  keys.insert(in_b.begin(), in_b.end());
  std::vector<RunDifference> differences;
  for (const auto& [key, value] : keys) {
    const auto one = in_a.find(key);
    const auto other = in_b.find(key);
    if (one != in_a.end() && other != in_b.end() && one->second == other->second) continue;
    differences.push_back({key, attribute_text(in_a, key), attribute_text(in_b, key)});
  }
  return differences;
}

}  // namespace fp8cal
