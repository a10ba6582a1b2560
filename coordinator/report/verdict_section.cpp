#include <fmt/format.h>

#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

/// All bands, the recipe's own marked.
Markup verdict_scale(double difference) {
  const std::size_t own = verdict_band(difference);
  Markup steps;
  for (std::size_t band = 0; band <= kVerdictBands.size(); ++band) {
    const char* range =
        band < kVerdictBands.size() ? kVerdictBands[band].range : kVerdictBeyond.range;
    steps +=
        tag("li", band == own ? Markup::Attributes{{"aria-current", "true"}} : Markup::Attributes{},
            range);
  }
  return tag("ol", {{"class", "bands"}, {"aria-label", "size of the perplexity difference"}},
             steps);
}

std::string difference_text(const RecipeFigures& one) {
  if (!one.has_interval) {
    return fmt::format("{:+.4f} perplexity, without an interval", one.difference->difference);
  }
  return fmt::format("{:+.4f} perplexity, 95 % interval {:+.4f} to {:+.4f}",
                     one.difference->difference, one.difference->low, one.difference->high);
}

std::string measured_text(const RecipeFigures& one) {
  std::string text =
      one.bf16 ? fmt::format("Perplexity {:.4f} in BF16, {:.4f} in FP8.", *one.bf16, one.perplexity)
               : fmt::format("Perplexity {:.4f}.", one.perplexity);
  if (one.mean_kl) text += fmt::format(" Mean KL divergence {:.5f} nats a token.", *one.mean_kl);
  if (one.top1_agreement) {
    text += fmt::format(" Same most likely token: {:.2f} %.", 100 * *one.top1_agreement);
  }
  return text;
}

Markup verdict_card(const std::string& prefix, const RecipeFigures& one) {
  Markup card = tag("h3", prefix + one.recipe);
  if (one.difference) {
    card += tag("p", {{"class", "verdict"}}, verdict(one.difference->difference));
    card += tag("p", {{"class", "difference"}}, difference_text(one));
    card += verdict_scale(one.difference->difference);
  } else {
    card += tag("p", {{"class", "verdict"}}, "not compared with BF16");
  }
  card += tag("p", {{"class", "measured"}}, measured_text(one));
  return tag("article", {{"class", "card"}}, card);
}

Markup list_of(const std::vector<std::string>& lines) {
  Markup items;
  for (const std::string& line : lines) items += tag("li", line);
  return tag("ul", {}, items);
}

/// Whether the verdict may be reported, and what qualifies it.
Markup standing_note(const std::string& prefix, const Standing& standing) {
  Markup note;
  if (!standing.obstacles.empty()) {
    note += tag("p", {{"class", "standing"}}, prefix + "Not reportable");
    note += list_of(standing.obstacles);
  } else if (!standing.overlap) {
    note += tag("p", {{"class", "standing"}}, prefix + "Reportable, with one reservation");
    note += list_of({"the result does not say whether calibration and evaluation text overlap"});
  } else {
    note += tag("p", {{"class", "standing"}}, prefix + "Reportable");
    note += list_of({"overlap of calibration and evaluation text: " + *standing.overlap});
  }
  if (!standing.warnings.empty()) {
    note +=
        tag("p", {{"class", "standing"}}, standing.warnings.size() == 1 ? "Warning" : "Warnings");
    note += list_of(standing.warnings);
  }
  return tag("div", {{"class", "note"}}, note);
}

}  // namespace

Markup verdict_section(const ReportFigures& report) {
  Markup cards;
  Markup notes;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    const std::string prefix = result_prefix(report, i);
    for (const RecipeFigures& recipe : one.recipes) cards += verdict_card(prefix, recipe);
    if (one.recipes.empty()) cards += absent_from(report, i, "holds no perplexity of a recipe.");
    notes += standing_note(prefix, one.standing);
  }
  Markup content = tag("div", {{"class", "cards"}}, cards);
  content += tag("div", {{"class", "notes"}}, notes);
  return page_section("verdict", "Verdict", "", content);
}

}  // namespace fp8cal
