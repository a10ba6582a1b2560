#include "coordinator/report/total_times.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "coordinator/report/latency_figures.hpp"

namespace fp8cal {
namespace {

constexpr double kMostTokens = 1e9;  // beyond, nobody waits for the other to be first

/// The prompt whose length is nearest to `tokens` by its ratio.
const PassPoint& nearest(const std::vector<PassPoint>& prompts, std::size_t tokens) {
  const auto distance = [tokens](const PassPoint& prompt) {
    return std::abs(std::log(static_cast<double>(prompt.tokens) / static_cast<double>(tokens)));
  };
  return *std::ranges::min_element(prompts, {}, distance);
}

std::vector<TotalTime> lines_of(const LatencyProfile& profile, const PassPoint& prompt,
                                const PassPoint& context) {
  std::vector<TotalTime> lines;
  for (const ProfiledPass* first : passes_at(profile, prompt)) {
    const ProfiledPass* each = find_pass(profile, context, first->key.variant, first->key.kv);
    if (each == nullptr) continue;
    lines.push_back(
        {first->key.variant, first->key.kv, first->latency.median, each->latency.median});
  }
  return lines;
}

}  // namespace

const TotalTime* TotalTimes::reference() const {
  const auto found = std::ranges::find_if(
      lines, [](const TotalTime& line) { return line.variant == "bf16" && line.kv == "bf16"; });
  return found == lines.end() ? nullptr : &*found;
}

std::vector<TotalTimes> total_times(const LatencyProfile& profile) {
  const std::vector<PassPoint> prompts = points_of(profile, false);
  std::vector<TotalTimes> all;
  if (prompts.empty()) return all;
  for (const PassPoint& context : points_of(profile, true)) {
    if (!all.empty() && context.sequences != all.front().sequences) break;  // sorted by it
    const PassPoint& prompt = nearest(prompts, context.tokens);
    std::vector<TotalTime> lines = lines_of(profile, prompt, context);
    if (lines.empty()) continue;
    all.push_back({prompt.tokens, context.tokens, context.sequences, std::move(lines)});
  }
  return all;
}

std::optional<double> crossing(const TotalTime& one, const TotalTime& other) {
  const double tokens = (one.first - other.first) / (other.each - one.each);
  if (!(tokens >= 1 && tokens <= kMostTokens)) return std::nullopt;
  return tokens;
}

std::string crossing_text(const TotalTime& one, const TotalTime& reference) {
  const std::optional<double> tokens = crossing(one, reference);
  if (!tokens) {
    const double gained = reference.of(1) - one.of(1);
    return gained > 0 ? "faster throughout" : gained < 0 ? "slower throughout" : "as fast";
  }
  return one.each < reference.each ? fmt::format("faster from {:.0f} tokens on", std::ceil(*tokens))
                                   : fmt::format("faster up to {:.0f} tokens", std::floor(*tokens));
}

}  // namespace fp8cal
