#include "coordinator/profile/profile_json.hpp"

#include <nlohmann/json.hpp>

#include "coordinator/profile/pass_limits.hpp"

namespace fp8cal {
namespace {

using Json = nlohmann::ordered_json;

/// An array of what `each` makes of the elements.
template <class List, class Each>
Json array_of(const List& list, const Each& each) {
  Json array = Json::array();
  for (const auto& one : list) array.push_back(each(one));
  return array;
}

/// Which pass.
Json key_json(const PassKey& key) {
  return {{"phase", key.decodes ? "decode" : "prefill"},
          {"variant", key.variant},
          {"kv", key.kv},
          {"sequences", key.sequences},
          {"tokens", key.tokens}};
}

Json pass_json(const ProfiledPass& pass, const LatencyProfile& profile) {
  Json json = key_json(pass.key);
  json["median_s"] = pass.latency.median;
  json["p95_s"] = pass.latency.p95;
  json["runs"] = pass.latency.runs;
  for (std::size_t c = 0; c < kCauses; ++c) {
    const CauseTime& cause = pass.causes[c];
    json["causes"][cause_name(static_cast<Cause>(c))] = {{"calls", cause.calls},
                                                         {"seconds", cause.seconds},
                                                         {"flop", cause.flop},
                                                         {"bytes", cause.bytes}};
  }
  if (const auto share = scaling_share(pass)) json["scaling_share"] = *share;
  if (const auto limit = limit_of(pass, profile.ceilings, profile.native_fp8)) {
    json["limit"] = {{"ceiling", limit_name(limit->kind)}, {"share", limit->share}};
  }
  return json;
}

Json ceilings_json(const Ceilings& ceilings) {
  return {{"bytes_per_s", ceilings.bytes_per_s},
          {"bf16_flop_per_s", ceilings.bf16_flop_per_s},
          {"fp8_flop_per_s", ceilings.fp8_flop_per_s},
          {"gather_bytes_per_s", ceilings.gather_bytes_per_s}};
}

Json check_json(const DecodeCheck& check) {
  return {{"variant", check.variant},
          {"kv", check.kv},
          {"tokens", check.tokens},
          {"mean_difference", check.mean_difference},
          {"most_difference", check.most_difference},
          {"same_bits", check.same_bits}};
}

Json unfit_json(const UnfitPass& pass) {
  Json json = key_json(pass.key);
  json["needed_bytes"] = pass.needed_bytes;
  json["budget_bytes"] = pass.budget_bytes;
  return json;
}

void add_fastest(Json& json, const Fastest& fastest) {
  json["variant"] = fastest.setting.variant;
  json["kv"] = fastest.setting.kv;
  json["seconds"] = fastest.seconds;
  if (fastest.gain) json["gain"] = *fastest.gain;
}

const char* kind_name(Crossover::Kind kind) {
  switch (kind) {
    case Crossover::Kind::always:
      return "always";
    case Crossover::Kind::from:
      return "from";
    case Crossover::Kind::never:
      return "never";
    case Crossover::Kind::up_to:
      return "up_to";
    case Crossover::Kind::unknown:
      return "unknown";
  }
  return "";
}

Json crossover_json(const SettingCrossover& one) {
  Json json = {{"variant", one.setting.variant},
               {"kv", one.setting.kv},
               {"prompt", one.prompt},
               {"batch", one.batch},
               {"faster", kind_name(one.crossover.kind)}};
  if (one.crossover.tokens > 0) json["tokens"] = one.crossover.tokens;
  return json;
}

Json saving_json(const StaticSaving& one) {
  Json json = key_json(one.key);
  json.erase("variant");
  json["seconds"] = one.seconds;
  json["share"] = one.share;
  return json;
}

Json answer_json(const ProfileAnswer& answer) {
  Json json;
  json["time_to_first_token"] = array_of(answer.prefill, [](const FastestPrefill& one) {
    Json made = {{"prompt", one.prompt}};
    add_fastest(made, one.fastest);
    return made;
  });
  json["time_per_output_token"] = array_of(answer.decoding, [](const FastestDecoding& one) {
    Json made = {{"batch", one.batch}, {"context", one.context}};
    add_fastest(made, one.fastest);
    return made;
  });
  json["total"] = array_of(answer.totals, [](const FastestTotal& one) {
    Json made = {{"prompt", one.prompt}, {"batch", one.batch}, {"output", one.output}};
    add_fastest(made, one.fastest);
    return made;
  });
  json["faster_than_bf16"] = array_of(answer.crossovers, crossover_json);
  json["static_saves"] = array_of(answer.savings, saving_json);
  json["missing"] = answer.missing;
  return json;
}

}  // namespace

std::string profile_json(const LatencyProfile& profile, const ProfileAnswer& answer) {
  const auto pass = [&](const ProfiledPass& one) { return pass_json(one, profile); };
  const Json json = {{"version", profile.version},
                     {"time", profile.time},
                     {"command_line", profile.command_line},
                     {"model", profile.model},
                     {"scales", profile.scales},
                     {"backend", profile.backend},
                     {"places", profile.places},
                     {"native_fp8", profile.native_fp8},
                     {"planned_bytes", profile.planned_bytes},
                     {"peak_bytes", profile.peak_bytes},
                     {"ceilings", ceilings_json(profile.ceilings)},
                     {"checks", array_of(profile.checks, check_json)},
                     {"passes", array_of(profile.passes, pass)},
                     {"unfit", array_of(profile.unfit, unfit_json)},
                     {"answers", answer_json(answer)}};
  // A path need not be UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace fp8cal
