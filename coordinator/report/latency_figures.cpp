#include "coordinator/report/latency_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator/profile/answer_sentences.hpp"
#include "coordinator/report/axis.hpp"
#include "jobs/profile_file.hpp"
#include "jobs/recipe.hpp"

namespace fp8cal {
namespace {

/// Calls see(key) for each pass, also for those that do not fit.
template <class See>
void for_each_key(const LatencyProfile& profile, See see) {
  for (const ProfiledPass& pass : profile.passes) see(pass.key);
  for (const UnfitPass& pass : profile.unfit) see(pass.key);
}

std::vector<std::string> names_of(const LatencyProfile& profile, std::string PassKey::*field) {
  std::vector<std::string> names;
  for_each_key(profile, [&](const PassKey& key) {
    if (std::ranges::find(names, key.*field) == names.end()) names.push_back(key.*field);
  });
  return names;
}

PassPoint point_of(const PassKey& key) { return {key.decodes, key.sequences, key.tokens}; }

PassKey key_of(const PassPoint& point, const std::string& variant, const std::string& kv) {
  return {point.decodes, variant, kv, point.sequences, point.tokens};
}

/// Of matrix products; a recipe with a weight alone in FP8 multiplies in BF16.
double product_flop_per_s(const LatencyProfile& profile, const std::string& variant) {
  const std::vector<std::string> recipes = recipe_names();
  const bool in_bf16 = std::ranges::find(recipes, variant) == recipes.end() ||
                       find_recipe(variant).input == Recipe::Input::bf16;
  const Ceilings& ceilings = profile.ceilings;
  return in_bf16 || ceilings.fp8_flop_per_s == 0 ? ceilings.bf16_flop_per_s
                                                 : ceilings.fp8_flop_per_s;
}

}  // namespace

LatencyFigures latency_figures_of(LatencyProfile profile) {
  std::vector<std::string> answer = answer_sentences(profile, answer_of(profile));
  return {std::move(profile), std::move(answer)};
}

std::optional<LatencyFigures> read_latency(const std::string& file) {
  std::optional<LatencyProfile> profile = read_profile(file);
  if (!profile) return std::nullopt;
  return latency_figures_of(std::move(*profile));
}

std::vector<std::string> variants_of(const LatencyProfile& profile) {
  return names_of(profile, &PassKey::variant);
}

std::vector<std::string> kv_of(const LatencyProfile& profile) {
  return names_of(profile, &PassKey::kv);
}

std::string configuration_name(const std::string& variant, const std::string& kv) {
  return fmt::format("{}, KV in {}", variant, kv);
}

std::string point_name(const PassPoint& point) {
  const std::string tokens = token_count(static_cast<double>(point.tokens));
  if (!point.decodes) return fmt::format("a prompt of {} tokens", tokens);
  return point.sequences == 1
             ? fmt::format("1 sequence after {} tokens", tokens)
             : fmt::format("{} sequences after {} tokens each", point.sequences, tokens);
}

std::vector<PassPoint> points_of(const LatencyProfile& profile, bool decodes) {
  std::set<PassPoint> points;
  for_each_key(profile, [&](const PassKey& key) {
    if (key.decodes == decodes) points.insert(point_of(key));
  });
  return {points.begin(), points.end()};
}

std::optional<PassPoint> middle_point(const LatencyProfile& profile, bool decodes) {
  std::map<PassPoint, std::size_t> measured;
  std::size_t most = 0;
  for (const ProfiledPass& pass : profile.passes) {
    if (pass.key.decodes == decodes) most = std::max(most, ++measured[point_of(pass.key)]);
  }
  std::erase_if(measured, [most](const auto& one) { return one.second < most; });
  if (measured.empty()) return std::nullopt;
  return std::next(measured.begin(), static_cast<std::ptrdiff_t>(measured.size() / 2))->first;
}

const ProfiledPass* find_pass(const LatencyProfile& profile, const PassPoint& point,
                              const std::string& variant, const std::string& kv) {
  const auto found =
      std::ranges::find(profile.passes, key_of(point, variant, kv), &ProfiledPass::key);
  return found == profile.passes.end() ? nullptr : &*found;
}

bool is_unfit(const LatencyProfile& profile, const PassPoint& point, const std::string& variant,
              const std::string& kv) {
  return std::ranges::find(profile.unfit, key_of(point, variant, kv), &UnfitPass::key) !=
         profile.unfit.end();
}

std::vector<const ProfiledPass*> passes_at(const LatencyProfile& profile, const PassPoint& point) {
  std::vector<const ProfiledPass*> passes;
  for (const ProfiledPass& pass : profile.passes) {
    if (point_of(pass.key) == point) passes.push_back(&pass);
  }
  return passes;
}

std::optional<double> share_of_ceiling(const LatencyProfile& profile, const ProfiledPass& pass,
                                       Cause cause) {
  const CauseTime& time = pass.causes[static_cast<std::size_t>(cause)];
  const Ceilings& ceilings = profile.ceilings;
  const double bytes_per_s =
      cause == Cause::collectives ? ceilings.gather_bytes_per_s : ceilings.bytes_per_s;
  const double flop_per_s = cause == Cause::products ? product_flop_per_s(profile, pass.key.variant)
                                                     : ceilings.bf16_flop_per_s;
  double least = 0;
  if (bytes_per_s > 0) least = std::max(least, time.bytes / bytes_per_s);
  if (flop_per_s > 0) least = std::max(least, time.flop / flop_per_s);
  if (least == 0 || time.seconds == 0) return std::nullopt;
  return least / time.seconds;
}

}  // namespace fp8cal
