#include "coordinator/profile/profile_answer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

namespace fp8cal {
namespace {

constexpr std::size_t kOutputs[] = {1, 32, 256, 2048};
const Setting kBf16 = {"bf16", "bf16"};

/// Seconds that a setting needs for something; none where that was not measured.
using SecondsOf = std::function<std::optional<double>(const Setting&)>;

std::optional<Fastest> fastest_of(const ProfileFigures& figures, const SecondsOf& seconds_of) {
  std::optional<Fastest> fastest;
  for (const Setting& setting : figures.settings()) {
    const std::optional<double> seconds = seconds_of(setting);
    if (seconds && (!fastest || *seconds < fastest->seconds)) fastest = {setting, *seconds, {}};
  }
  const std::optional<double> bf16 = seconds_of(kBf16);
  if (fastest && bf16 && fastest->seconds > 0) fastest->gain = *bf16 / fastest->seconds;
  return fastest;
}

/// The total of a prompt and its output, where all that it needs was measured.
std::optional<Pace> pace_of(const ProfileFigures& figures, const Setting& setting,
                            std::size_t prompt, std::size_t batch) {
  const std::optional<double> first = figures.first_token(setting, prompt);
  const std::optional<double> each = figures.output_token(setting, batch, prompt);
  if (!first || !each) return std::nullopt;
  return Pace{*first, *each};
}

void answer_passes(const ProfileFigures& figures, ProfileAnswer& answer) {
  for (const std::size_t prompt : figures.prompts()) {
    const auto fastest =
        fastest_of(figures, [&](const Setting& one) { return figures.first_token(one, prompt); });
    if (fastest) answer.prefill.push_back({prompt, *fastest});
  }
  for (const std::size_t batch : figures.batches()) {
    for (const std::size_t context : figures.contexts()) {
      const auto fastest = fastest_of(
          figures, [&](const Setting& one) { return figures.output_token(one, batch, context); });
      if (fastest) answer.decoding.push_back({batch, context, *fastest});
    }
  }
}

void answer_totals(const ProfileFigures& figures, ProfileAnswer& answer) {
  for (const std::size_t prompt : figures.prompts()) {
    for (const std::size_t batch : figures.batches()) {
      for (const std::size_t output : kOutputs) {
        const auto fastest = fastest_of(figures, [&](const Setting& one) {
          const std::optional<Pace> pace = pace_of(figures, one, prompt, batch);
          return pace ? std::optional(
                            total_seconds(pace->first_token, pace->output_token, batch, output))
                      : std::nullopt;
        });
        if (fastest) answer.totals.push_back({prompt, batch, output, *fastest});
      }
    }
  }
}

void answer_crossovers(const ProfileFigures& figures, ProfileAnswer& answer) {
  if (std::ranges::find(figures.settings(), kBf16) == figures.settings().end()) return;
  for (const Setting& setting : figures.settings()) {
    if (setting.is_bf16()) continue;
    for (const std::size_t batch : figures.batches()) {
      for (const std::size_t prompt : figures.prompts()) {
        const std::optional<Pace> own = pace_of(figures, setting, prompt, batch);
        const std::optional<Pace> bf16 = pace_of(figures, kBf16, prompt, batch);
        const Crossover crossover = own && bf16 ? crossover_of(*own, *bf16, batch) : Crossover{};
        answer.crossovers.push_back({setting, prompt, batch, crossover});
      }
    }
  }
}

void answer_savings(const LatencyProfile& profile, ProfileAnswer& answer) {
  for (const ProfiledPass& pass : profile.passes) {
    if (pass.key.variant != "fp8-static") continue;
    PassKey key = pass.key;
    key.variant = "fp8-dynamic";
    const auto dynamic = std::ranges::find(profile.passes, key, &ProfiledPass::key);
    if (dynamic == profile.passes.end()) continue;
    const double saved = dynamic->latency.median - pass.latency.median;
    const double all = dynamic->latency.median;
    answer.savings.push_back({pass.key, saved, all > 0 ? saved / all : 0});
  }
}

/// What one setting lacks, beside what did not fit.
void tell_missing(const ProfileFigures& figures, const LatencyProfile& profile,
                  const Setting& setting, ProfileAnswer& answer) {
  const auto unfit = [&](const PassKey& key) {
    return std::ranges::find(profile.unfit, key, &UnfitPass::key) != profile.unfit.end();
  };
  std::vector<std::string> prompts, decodings;
  for (const std::size_t prompt : figures.prompts()) {
    const PassKey key = {false, setting.variant, setting.kv, 1, prompt};
    if (figures.prefill(setting, prompt) == nullptr && !unfit(key)) {
      prompts.push_back(fmt::to_string(prompt));
    }
  }
  for (const std::size_t batch : figures.batches()) {
    for (const std::size_t context : figures.contexts()) {
      const PassKey key = {true, setting.variant, setting.kv, batch, context};
      if (figures.decoding(setting, batch, context) == nullptr && !unfit(key)) {
        decodings.push_back(fmt::format("{} at {}", batch, context));
      }
    }
  }
  if (!prompts.empty()) {
    answer.missing.push_back(fmt::format("{}: no time to first token of prompts of {} tokens",
                                         setting.name(), fmt::join(prompts, ", ")));
  }
  if (!decodings.empty()) {
    answer.missing.push_back(fmt::format("{}: no time per output token of batches (at contexts) {}",
                                         setting.name(), fmt::join(decodings, ", ")));
  }
}

void tell_all_missing(const ProfileFigures& figures, const LatencyProfile& profile,
                      ProfileAnswer& answer) {
  if (std::ranges::find(figures.settings(), kBf16) == figures.settings().end()) {
    answer.missing.emplace_back("BF16 was not measured: no gains over it, and no crossovers");
  }
  if (figures.prompts().empty()) answer.missing.emplace_back("no time to first token was measured");
  if (figures.batches().empty()) {
    answer.missing.emplace_back("no time per output token was measured: no totals or crossovers");
  }
  for (const Setting& setting : figures.settings()) {
    tell_missing(figures, profile, setting, answer);
  }
}

}  // namespace

ProfileAnswer answer_of(const LatencyProfile& profile) {
  const ProfileFigures figures(profile);
  ProfileAnswer answer;
  answer_passes(figures, answer);
  answer_totals(figures, answer);
  answer_crossovers(figures, answer);
  answer_savings(profile, answer);
  tell_all_missing(figures, profile, answer);
  return answer;
}

double total_seconds(double first_token, double output_token, std::size_t batch,
                     std::uint64_t output) {
  return static_cast<double>(batch) * first_token + static_cast<double>(output) * output_token;
}

Crossover crossover_of(const Pace& a, const Pace& b, std::size_t batch) {
  using Kind = Crossover::Kind;
  const auto faster = [&](std::uint64_t output) {
    return total_seconds(a.first_token, a.output_token, batch, output) <
           total_seconds(b.first_token, b.output_token, batch, output);
  };
  const bool at_first = faster(1);
  const bool at_last = faster(kMostOutput);
  if (at_first && at_last) return {Kind::always, 0};
  if (!at_first && !at_last) return {Kind::never, 0};
  // The difference is a line: it changes its sign once.
  std::uint64_t same = 1, other = kMostOutput;
  while (other - same > 1) {
    const std::uint64_t middle = same + (other - same) / 2;
    (faster(middle) == at_first ? same : other) = middle;
  }
  return at_first ? Crossover{Kind::up_to, same} : Crossover{Kind::from, other};
}

}  // namespace fp8cal
