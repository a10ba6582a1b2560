#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "coordinator/report/comparison_figure.hpp"
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
  Markup scale = tag("ol", {{"class", "bands"}, {"aria-label", "size of the difference"}}, steps);
  scale += tag("p", {{"class", "measured"}}, "Size of the difference: smaller is better.");
  return scale;
}

std::string interval_text(const RecipeFigures& one) {
  return one.has_interval ? fmt::format("95 % interval {:+.4f} to {:+.4f}", one.difference->low,
                                        one.difference->high)
                          : "without a confidence interval";
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

Markup verdict_card(const RecipeFigures& one) {
  Markup card = tag("h3", one.recipe);
  if (one.difference) {
    card += tag("p", {{"class", "verdict"}}, verdict(one.difference->difference));
    card += tag("p", {{"class", "difference"}},
                fmt::format("{:+.4f} perplexity", one.difference->difference));
    card += tag("p", interval_text(one));
    card += verdict_scale(one.difference->difference);
  } else {
    card += tag("p", {{"class", "verdict"}}, "not compared with BF16");
  }
  card += tag("p", {{"class", "measured"}}, measured_text(one));
  return tag("article", {{"class", "card"}}, card);
}

Markup verdict_cards(const std::vector<RecipeFigures>& recipes) {
  Markup cards;
  for (const RecipeFigures& one : recipes) cards += verdict_card(one);
  return tag("div", {{"class", "cards"}}, cards);
}

/// A row a recipe, a column a result.
Markup verdict_table(const ReportFigures& report) {
  TextTable table{.header = {"recipe"}, .rows = {}};
  for (std::size_t i = 0; i < report.results.size(); ++i) table.header.push_back(result_letter(i));
  for (const std::string& recipe : recipes_of(report)) {
    std::vector<std::string>& row = table.rows.emplace_back(std::vector<std::string>{recipe});
    for (const ResultFigures& one : report.results) {
      const auto own = std::ranges::find(one.recipes, recipe, &RecipeFigures::recipe);
      if (own == one.recipes.end() || !own->difference) {
        row.emplace_back("-");
        continue;
      }
      const double difference = own->difference->difference;
      row.push_back(
          fmt::format("{}: {:+.4f}, {}", verdict(difference), difference, interval_text(*own)));
    }
  }
  return table.rows.empty() ? Markup() : html_table(table, "Perplexity above BF16");
}

/// What the recipes of a result have in common.
Markup headline(const std::string& prefix, const ResultFigures& figures) {
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  std::set<std::string> verdicts;
  for (const RecipeFigures& one : figures.recipes) {
    if (!one.difference) continue;
    low = std::min(low, one.difference->difference);
    high = std::max(high, one.difference->difference);
    verdicts.insert(verdict(one.difference->difference));
  }
  if (verdicts.empty()) return {};
  const std::string size =
      low < high ? fmt::format("{:+.3f} to {:+.3f}", low, high) : fmt::format("{:+.3f}", low);
  Markup text = tag(
      "strong", fmt::format("{}Verdict: {}.", prefix,
                            verdicts.size() == 1 ? *verdicts.begin() : "depends on the recipe"));
  text += Markup::text(
      fmt::format(" Perplexity changes by {} from {:.3f} in BF16.", size, *figures.bf16));
  return tag("p", {{"class", "headline"}}, text);
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
  } else {
    note += tag("p", {{"class", "standing"}}, prefix + "Reportable");
    note += list_of({"calibration and evaluation text do not overlap"});
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
  Markup content;
  Markup notes;
  Markup missing;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const ResultFigures& one = report.results[i];
    const std::string prefix = result_prefix(report, i);
    content += headline(prefix, one);
    notes += standing_note(prefix, one.standing);
    if (one.recipes.empty()) missing += absent_from(report, i, "holds no perplexity of a recipe.");
  }
  content += tag("div", {{"class", "notes"}}, notes);
  content += report.results.size() == 1 ? verdict_cards(report.results.front().recipes)
                                        : verdict_table(report);
  content += missing;
  return page_section("verdict", "Verdict", "", content);
}

}  // namespace fp8cal
