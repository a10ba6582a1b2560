#include "coordinator/audit/audit_json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace fp8cal {
namespace {

using Json = nlohmann::ordered_json;

/// Names and values of a damaged file need not be UTF-8.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const Contents& contents) {
  return {{"tokens", contents.tokens},
          {"calibration_windows", contents.calibration_windows},
          {"evaluation_windows", contents.evaluation_windows},
          {"layers", contents.layers},
          {"distributions", contents.distributions},
          {"weights", contents.weights},
          {"recipes", contents.recipes},
          {"scales", contents.scales},
          {"diagnostics", contents.diagnostics},
          {"perplexities", contents.variants},
          {"reportable", contents.objection.empty()}};
}

Json json_of(Kind kind, const Difference& difference) {
  Json json = {{"object", difference.object},
               {"at", difference.at},
               {"a", difference.a},
               {"b", difference.b},
               {"size", difference.size}};
  if (*name_of(kind).unit == '\0' || !std::isfinite(difference.size)) json["size"] = nullptr;
  if (difference.relative > 0) json["relative"] = difference.relative;
  return json;
}

Json json_of(Kind kind, const KindSummary& all) {
  Json json = {{"kind", name_of(kind).name},
               {"unit", name_of(kind).unit},
               {"compared", all.compared},
               {"differing", all.differing},
               {"beyond", all.beyond}};
  if (all.largest_relative > 0) json["largest_relative"] = all.largest_relative;
  if (all.first) json["first"] = json_of(kind, *all.first);
  if (all.largest) json["largest"] = json_of(kind, *all.largest);
  return json;
}

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::equal:
      return "equal";
    case Verdict::within_tolerance:
      return "within_tolerance";
    case Verdict::different:
      break;
  }
  return "different";
}

}  // namespace

std::string verification_json(const Verification& done, const std::string& file) {
  auto findings = Json::array();
  for (const Finding& one : done.findings.kept()) {
    findings.push_back({{"object", one.object},
                        {"what", one.what},
                        {"expected", one.expected},
                        {"found", one.found}});
  }
  return dump({{"file", file},
               {"verified", done.findings.empty()},
               {"digest_stored", done.objects.stored},
               {"digest_computed", done.objects.computed},
               {"objects", done.objects.objects},
               {"object_digests", done.objects.has_table},
               {"numbers_checked", done.numbers_checked},
               {"contents", json_of(done.contents)},
               {"finding_count", done.findings.count()},
               {"findings", std::move(findings)}});
}

std::string comparison_json(const Comparison& comparison, const std::string& a,
                            const std::string& b) {
  Json json = {
      {"a", a},
      {"b", b},
      {"verdict", verdict_name(comparison.verdict)},
      {"digest_a", comparison.digest_a},
      {"digest_b", comparison.digest_b},
      {"tolerance_scale", comparison.tolerances.scale},
      {"tolerance_ppl", comparison.tolerances.ppl},
      {"relation", comparison.relation},
      {"contents", json_of(comparison.contents)},
  };
  const auto add = [&json](const char* key, Kind kind, const std::optional<Difference>& one) {
    json[key] = one ? json_of(kind, *one) : Json();
    if (one) json[key]["kind"] = name_of(kind).name;
  };
  add("cause", comparison.cause_kind, comparison.cause);
  add("first_layer", comparison.first_layer_kind, comparison.first_layer);
  json["kinds"] = Json::array();
  for (std::size_t k = 0; k < kKinds; ++k) {
    json["kinds"].push_back(json_of(static_cast<Kind>(k), comparison.kinds[k]));
  }
  json["missing"] = Json::array();
  for (const MissingPart& part : comparison.missing) {
    json["missing"].push_back({{"object", part.object}, {"only_in", part.only_in_a ? "a" : "b"}});
  }
  json["runs"] = Json::array();
  for (const RunDifference& one : comparison.runs) {
    json["runs"].push_back({{"key", one.key}, {"a", one.a}, {"b", one.b}});
  }
  return dump(json);
}

}  // namespace fp8cal
