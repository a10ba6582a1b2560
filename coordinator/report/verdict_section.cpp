#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "coordinator/report/comparison_figure.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/report/verdict_parts.hpp"
#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

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

Markup card_of(const RecipeFigures& one) {
  VerdictCard card = {.heading = one.recipe,
                      .difference = {},
                      .interval = interval_text(one),
                      .measured = measured_text(one)};
  if (one.difference) card.difference = one.difference->difference;
  return verdict_card(card);
}

Markup verdict_cards(const std::vector<RecipeFigures>& recipes) {
  Markup cards;
  for (const RecipeFigures& one : recipes) cards += card_of(one);
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
