#include "coordinator/profile/profile_figures.hpp"

#include <algorithm>

#include "jobs/recipe.hpp"

namespace fp8cal {

std::string Setting::name() const { return kv == "bf16" ? variant : variant + kKvMark + kv; }

ProfileFigures::ProfileFigures(const LatencyProfile& profile) : profile_(profile) {
  const auto add = [this](const PassKey& key) {
    const Setting setting = {key.variant, key.kv};
    if (std::ranges::find(settings_, setting) == settings_.end()) settings_.push_back(setting);
    if (!key.decodes) {
      prompts_.insert(key.tokens);
      return;
    }
    batches_.insert(key.sequences);
    contexts_.insert(key.tokens);
  };
  for (const ProfiledPass& pass : profile.passes) add(pass.key);
  for (const UnfitPass& pass : profile.unfit) add(pass.key);
}

const ProfiledPass* ProfileFigures::find(const PassKey& key) const {
  const auto found = std::ranges::find(profile_.passes, key, &ProfiledPass::key);
  return found == profile_.passes.end() ? nullptr : &*found;
}

const ProfiledPass* ProfileFigures::prefill(const Setting& setting, std::size_t prompt) const {
  return find({false, setting.variant, setting.kv, 1, prompt});
}

const ProfiledPass* ProfileFigures::decoding(const Setting& setting, std::size_t batch,
                                             std::size_t context) const {
  return find({true, setting.variant, setting.kv, batch, context});
}

std::optional<double> ProfileFigures::first_token(const Setting& setting,
                                                  std::size_t prompt) const {
  const ProfiledPass* pass = prefill(setting, prompt);
  return pass == nullptr ? std::nullopt : std::optional(pass->latency.median);
}

std::optional<double> ProfileFigures::output_token(const Setting& setting, std::size_t batch,
                                                   std::size_t context) const {
  if (contexts_.empty()) return std::nullopt;
  auto above = contexts_.lower_bound(context);
  if (above == contexts_.end()) --above;
  auto below = above;
  if (*above > context && below != contexts_.begin()) --below;
  const ProfiledPass* low = decoding(setting, batch, *below);
  const ProfiledPass* high = decoding(setting, batch, *above);
  if (low == nullptr || high == nullptr) return std::nullopt;
  if (low == high) return low->latency.median;
  const double share = static_cast<double>(context - *below) / static_cast<double>(*above - *below);
  return low->latency.median + share * (high->latency.median - low->latency.median);
}

}  // namespace fp8cal
