#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "coordinator/audit/audit_text.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostMissingShown = 3;
constexpr const char* kLine = "  {:<16} {}\n";

/// Of these only the names are told.
constexpr const char* kMinorKeys[] = {"calibration_dataset",
                                      "command_line",
                                      "device_memory_peak",
                                      "device_memory_planned",
                                      "evaluation_dataset",
                                      "finished",
                                      "gemm_check",
                                      "job_file",
                                      "microbatch",
                                      "model_path",
                                      "partition_reason",
                                      "scales_command_line",
                                      "timeline",
                                      "warnings"};

/// A value, cut where it would fill the line.
std::string shortened(const std::string& value) {
  constexpr std::size_t kMostBytes = 40;
  return value.size() <= kMostBytes ? value : value.substr(0, kMostBytes - 3) + "...";
}

std::string size_text(Kind kind, const Difference& difference) {
  const char* unit = name_of(kind).unit;
  if (*unit == '\0' || difference.size == 0 || !std::isfinite(difference.size)) return "";
  if (!difference.of.empty() && kind != Kind::nll && kind != Kind::kl) {
    return fmt::format("{} of {} {}", difference.size, difference.of, unit);
  }
  std::string text = fmt::format("{:.3g} {}", difference.size, unit);
  if (difference.relative > 0) text += fmt::format(", {:.2g} relative", difference.relative);
  return text;
}

std::string difference_text(Kind kind, const Difference& difference) {
  const std::string size = size_text(kind, difference);
  if (kind == Kind::histograms && !size.empty()) return difference.object + ": " + size;
  return text_of(difference) + (size.empty() ? "" : " (" + size + ")");
}

/// First and largest; of what follows from scales, the largest alone, on one line.
std::string kind_text(Kind kind, const KindSummary& all) {
  std::string text = fmt::format("{} of {} differ", all.differing, all.compared);
  if (all.beyond != all.differing) {
    text +=
        all.beyond == 0 ? ", all tolerated" : fmt::format(", {} beyond the tolerance", all.beyond);
  }
  const char* title = name_of(kind).title;
  if (all.differing == 1 || kind > Kind::scales) {
    const char* which = all.differing == 1 ? ": " : "; most: ";
    return fmt::format(kLine, title, text + which + difference_text(kind, *all.largest));
  }
  text = fmt::format(kLine, title, text);
  text += fmt::format(kLine, "", "first  " + difference_text(kind, *all.first));
  if (all.largest->object == all.first->object) return text;
  return text + fmt::format(kLine, "", "most   " + difference_text(kind, *all.largest));
}

std::string missing_text(const Comparison& comparison, bool only_in_a, const std::string& file) {
  std::string text;
  std::size_t count = 0;
  for (const MissingPart& part : comparison.missing) {
    if (part.only_in_a != only_in_a) continue;
    if (count++ >= kMostMissingShown) continue;
    text += (text.empty() ? "" : ", ") + part.object;
  }
  if (count == 0) return "";
  if (count > kMostMissingShown) text += fmt::format(" and {} more", count - kMostMissingShown);
  return fmt::format("  only in {}: {}\n", file, text);
}

std::string differences_text(const Comparison& comparison, const std::string& a,
                             const std::string& b) {
  std::string text;
  for (std::size_t k = 0; k < kKinds; ++k) {
    if (comparison.kinds[k].differing == 0) continue;
    text += kind_text(static_cast<Kind>(k), comparison.kinds[k]);
  }
  return text + missing_text(comparison, true, a) + missing_text(comparison, false, b);
}

std::string runs_text(const Comparison& comparison) {
  std::string text;
  std::string minor;
  for (const RunDifference& one : comparison.runs) {
    if (std::ranges::find(kMinorKeys, one.key) == std::end(kMinorKeys)) {
      text += fmt::format(kLine, one.key, one.a + " | " + one.b);
    } else {
      minor += (minor.empty() ? "" : ", ") + one.key;
    }
  }
  if (!minor.empty()) text += fmt::format(kLine, "and also", minor);
  return text.empty() ? "" : "runs\n" + text;
}

std::string headline(const Comparison& comparison, const std::string& a, const std::string& b) {
  switch (comparison.verdict) {
    case Verdict::equal:
      return fmt::format("{} and {} are equal\ndigest     {}\n", a, b, comparison.digest_a);
    case Verdict::within_tolerance:
      return fmt::format("{} and {} agree within the tolerances (scales {}, perplexity {})\n", a, b,
                         comparison.tolerances.scale, comparison.tolerances.ppl);
    case Verdict::different:
      break;
  }
  std::string text = fmt::format("{} and {} differ\ncause      {}\n", a, b,
                                 difference_text(comparison.cause_kind, *comparison.cause));
  if (comparison.first_layer && comparison.first_layer->object != comparison.cause->object) {
    text += fmt::format("from       {}\n",
                        difference_text(comparison.first_layer_kind, *comparison.first_layer));
  }
  return text;
}

}  // namespace

std::string text_of(const Difference& difference) {
  return fmt::format("{}{}{}: {} | {}", difference.object, difference.at.empty() ? "" : " ",
                     difference.at, shortened(difference.a), shortened(difference.b));
}

std::string comparison_text(const Comparison& comparison, const std::string& a,
                            const std::string& b) {
  std::string text = headline(comparison, a, b);
  if (comparison.verdict != Verdict::equal) {
    text += fmt::format("digests    {} | {}\n", shortened(comparison.digest_a),
                        shortened(comparison.digest_b));
  }
  if (!comparison.relation.empty()) text += fmt::format("relation   {}\n", comparison.relation);
  text += fmt::format("compared   {}\n", text_of(comparison.contents));
  const std::string differences = differences_text(comparison, a, b);
  if (!differences.empty()) text += "differences\n" + differences;
  return text + runs_text(comparison);
}

}  // namespace fp8cal
