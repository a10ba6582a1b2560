#include "coordinator/profile/answer_sentences.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "coordinator/profile/answer_text.hpp"
#include "coordinator/profile/pass_limits.hpp"
#include "coordinator/profile/profile_table.hpp"

namespace fp8cal {
namespace {

/// ", 1.45 x BF16's speed", or nothing.
std::string lead_of(const Fastest& fastest) {
  return fastest.gain ? fmt::format(", {:.2f} x BF16's speed", *fastest.gain) : "";
}

std::string first_token_sentence(const ProfileAnswer& answer) {
  std::vector<std::string> parts;
  for (const FastestPrefill& one : answer.prefill) {
    parts.push_back(fmt::format("{} for a prompt of {} ({} ms{})", one.fastest.setting.name(),
                                one.prompt, ms_text(one.fastest.seconds), lead_of(one.fastest)));
  }
  return fmt::format("First to answer: {}.", fmt::join(parts, "; "));
}

std::string output_token_sentence(const ProfileAnswer& answer) {
  std::vector<std::string> parts;
  for (const FastestDecoding& one : answer.decoding) {
    parts.push_back(fmt::format("{} for {} at {} ({} ms a token{})", one.fastest.setting.name(),
                                sequences_text(one.batch), one.context,
                                ms_text(one.fastest.seconds), lead_of(one.fastest)));
  }
  return fmt::format("Fastest to go on: {}.", fmt::join(parts, "; "));
}

/// Of the smallest batch and the longest prompt, where the first token weighs most.
std::string crossover_sentence(const ProfileAnswer& answer) {
  std::size_t batch = answer.crossovers.front().batch, prompt = 0;
  for (const SettingCrossover& one : answer.crossovers) {
    batch = std::min(batch, one.batch);
    prompt = std::max(prompt, one.prompt);
  }
  std::vector<std::string> parts;
  for (const SettingCrossover& one : answer.crossovers) {
    if (one.batch != batch || one.prompt != prompt) continue;
    parts.push_back(fmt::format("{}: {}", one.setting.name(), crossover_text(one.crossover)));
  }
  return fmt::format(
      "Output tokens for which a setting beats BF16 in all, {}, after a prompt of {}: {}.",
      sequences_text(batch), prompt, fmt::join(parts, "; "));
}

std::string scaling_sentence(const LatencyProfile& profile) {
  const ProfileFigures figures(profile);
  if (figures.prompts().empty()) return "";
  const std::size_t prompt = *figures.prompts().rbegin();
  std::vector<std::string> parts;
  for (const Setting& setting : figures.settings()) {
    const ProfiledPass* pass = figures.prefill(setting, prompt);
    if (pass == nullptr || setting.is_bf16()) continue;
    parts.push_back(fmt::format("{} {}", setting.name(), share_text(scaling_share(*pass))));
  }
  if (parts.empty()) return "";
  return fmt::format("Scaling and casting, of the time to first token after {}: {}.", prompt,
                     fmt::join(parts, "; "));
}

}  // namespace

std::vector<std::string> answer_sentences(const LatencyProfile& profile,
                                          const ProfileAnswer& answer) {
  std::vector<std::string> sentences;
  if (!answer.prefill.empty()) sentences.push_back(first_token_sentence(answer));
  if (!answer.decoding.empty()) sentences.push_back(output_token_sentence(answer));
  if (!answer.crossovers.empty()) sentences.push_back(crossover_sentence(answer));
  const std::string scaling = scaling_sentence(profile);
  if (!scaling.empty()) sentences.push_back(scaling);
  sentences.insert(sentences.end(), answer.missing.begin(), answer.missing.end());
  return sentences;
}

}  // namespace fp8cal
