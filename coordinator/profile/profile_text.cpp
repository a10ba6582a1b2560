#include "coordinator/profile/profile_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/profile/answer_text.hpp"
#include "coordinator/profile/profile_figures.hpp"
#include "coordinator/profile/profile_table.hpp"
#include "jobs/byte_size.hpp"

namespace fp8cal {
namespace {

using Row = std::vector<std::string>;

/// "4012 GB/s of device memory, 690 TFLOP/s in BF16, ...": those that were measured.
std::string ceilings_text(const Ceilings& ceilings) {
  std::string text;
  const auto add = [&text](double rate, double unit, const char* what) {
    if (!(rate > 0)) return;
    const double figure = rate / unit;
    text +=
        fmt::format("{}{:.{}f} {}", text.empty() ? "" : ", ", figure, figure < 100 ? 2 : 0, what);
  };
  add(ceilings.bytes_per_s, 1e9, "GB/s of device memory");
  add(ceilings.bf16_flop_per_s, 1e12, "TFLOP/s in BF16");
  add(ceilings.fp8_flop_per_s, 1e12, "TFLOP/s in FP8");
  add(ceilings.gather_bytes_per_s, 1e9, "GB/s gathered");
  return text.empty() ? "none" : text;
}

std::string head_text(const LatencyProfile& profile) {
  std::string text = fmt::format(
      "model       {}\nscales      {}\nplaces      {} on {} {}\n", profile.model,
      profile.scales.empty() ? "made up: no --scales" : "of " + profile.scales, profile.backend,
      profile.places.size(), profile.places.size() == 1 ? "rank" : "ranks");
  if (!profile.places.empty()) text += fmt::format("rank 0      {}\n", profile.places.front());
  text += fmt::format("ceilings    {}\nmemory      {} of {} planned on a rank\n",
                      ceilings_text(profile.ceilings), format_byte_size(profile.peak_bytes),
                      format_byte_size(profile.planned_bytes));
  if (!profile.native_fp8) text += "FP8         no tensor cores for it: products are BF16's\n";
  return text;
}

/// Causes that take time in any pass: on one rank there are no collectives.
std::vector<std::size_t> causes_of(const LatencyProfile& profile) {
  std::vector<std::size_t> causes;
  for (std::size_t c = 0; c < kCauses; ++c) {
    const bool occurs = std::ranges::any_of(
        profile.passes, [&](const ProfiledPass& pass) { return pass.causes[c].seconds > 0; });
    if (occurs) causes.push_back(c);
  }
  return causes;
}

/// One pass by each setting; nothing where none was measured.
template <class PassOf>
std::string pass_text(const std::string& title, const LatencyProfile& profile,
                      const ProfileFigures& figures, const PassOf& pass_of) {
  const std::vector<std::size_t> causes = causes_of(profile);
  TextTable table = {{"setting", "median", "95 %"}, {}};
  for (const std::size_t c : causes) table.header.emplace_back(cause_name(static_cast<Cause>(c)));
  for (const Setting& setting : figures.settings()) {
    const ProfiledPass* pass = pass_of(setting);
    if (pass == nullptr) continue;
    Row row = {setting.name(), ms_text(pass->latency.median), ms_text(pass->latency.p95)};
    for (const std::size_t c : causes) row.push_back(ms_text(pass->causes[c].seconds));
    table.rows.push_back(std::move(row));
  }
  return table.rows.empty() ? "" : fmt::format("\n{}\n{}", title, folded_text(table));
}

std::string passes_text(const LatencyProfile& profile) {
  const ProfileFigures figures(profile);
  std::string text;
  for (const std::size_t prompt : figures.prompts()) {
    text += pass_text(fmt::format("prompt of {} tokens: ms to first token", prompt), profile,
                      figures, [&](const Setting& one) { return figures.prefill(one, prompt); });
  }
  for (const std::size_t batch : figures.batches()) {
    for (const std::size_t context : figures.contexts()) {
      text += pass_text(
          fmt::format("{} at context {}: ms per output token", sequences_text(batch), context),
          profile, figures,
          [&](const Setting& one) { return figures.decoding(one, batch, context); });
    }
  }
  return text;
}

std::string unfit_text(const LatencyProfile& profile) {
  if (profile.unfit.empty()) return "";
  TextTable table = {{"setting", "sequences", "tokens", "needed", "there are"}, {}};
  for (const UnfitPass& pass : profile.unfit) {
    table.rows.push_back({Setting{pass.key.variant, pass.key.kv}.name(),
                          fmt::to_string(pass.key.sequences), fmt::to_string(pass.key.tokens),
                          format_byte_size(pass.needed_bytes),
                          format_byte_size(pass.budget_bytes)});
  }
  return "\ndoes not fit in device memory\n" + folded_text(table);
}

std::string checks_text(const LatencyProfile& profile) {
  if (profile.checks.empty()) return "";
  TextTable table = {{"setting", "tokens", "mean difference", "most", "bits"}, {}};
  for (const DecodeCheck& check : profile.checks) {
    table.rows.push_back({Setting{check.variant, check.kv}.name(), fmt::to_string(check.tokens),
                          fmt::format("{:+.6f}", check.mean_difference),
                          fmt::format("{:.6f}", check.most_difference),
                          check.same_bits ? "the same" : "others"});
  }
  return "\nNLL of decoding token by token, less that of the full pass, nats\n" +
         folded_text(table);
}

}  // namespace

std::string profile_text(const LatencyProfile& profile, const ProfileAnswer& answer) {
  return head_text(profile) + passes_text(profile) + unfit_text(profile) + checks_text(profile) +
         answer_text(profile, answer);
}

}  // namespace fp8cal
