#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/study_sections.hpp"
#include "coordinator/report/verdict_parts.hpp"
#include "coordinator/study/study_output.hpp"
#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

const StudyRow& smallest(const RecipeRows& recipe) {
  return **std::ranges::min_element(recipe.rows, {},
                                    [](const StudyRow* row) { return std::abs(row->difference); });
}

/// "policy mse"; several where they give the same, as they do without static scales.
std::string policies_of(const RecipeRows& recipe) {
  std::vector<std::string> same;
  for (const StudyRow* row : recipe.rows) {
    if (row->difference == smallest(recipe).difference) same.push_back(row->keys[1]);
  }
  if (same.size() > 1 && same.size() == recipe.rows.size()) return "any policy";
  return fmt::format("policy {}", fmt::join(same, " or "));
}

/// What the far end of the interval would mean, where that is worse: "; it reaches 'expected'".
std::string reach_of(const StudyRow& row) {
  if (!row.interval) return "";
  const double end = std::max(std::abs(row.interval->low), std::abs(row.interval->high));
  if (verdict_band(end) <= verdict_band(row.difference)) return "";
  return fmt::format("; it reaches '{}'", verdict(end));
}

std::string interval_line(const StudyRow& row, int digits) {
  if (!row.interval) return "without a confidence interval";
  return fmt::format("95 % interval {:+.{}f} to {:+.{}f}{}", row.interval->low, digits,
                     row.interval->high, digits, reach_of(row));
}

/// recipes: best first.
Markup headline(const StudyRecord& study, const std::vector<RecipeRows>& recipes) {
  const RecipeRows& best = recipes.front();
  const StudyRow& row = smallest(best);
  Markup text =
      tag("strong", fmt::format("Smallest difference: {}, {}.", best.recipe, policies_of(best)));
  text += Markup::text(fmt::format(
      " Perplexity changes by {:+.3f} ({}) from {:.3f} in BF16: {}.", row.difference,
      interval_line(row, 3), study.results.front().recipes.front().bf16, verdict(row.difference)));
  return tag("p", {{"class", "headline"}}, text);
}

Markup cards(const std::vector<RecipeRows>& recipes) {
  Markup all;
  for (const RecipeRows& one : recipes) {
    const StudyRow& row = smallest(one);
    std::string measured = fmt::format("With {}", policies_of(one));
    if (row.least < row.most) {
      measured += fmt::format(": mean of {} results from {:+.4f} to {:+.4f}", row.results,
                              row.least, row.most);
    } else if (row.results > 1) {
      measured += fmt::format(": all {} results alike", row.results);
    }
    all += verdict_card({.heading = one.recipe,
                         .difference = row.difference,
                         .interval = interval_line(row, 4),
                         .measured = measured + "."});
  }
  return tag("div", {{"class", "cards"}}, all);
}

/// Whether the figures may be reported.
Standing standing_of(const StudyRecord& study) {
  std::map<std::string, std::size_t> objections;  // and of how many results
  for (const StudyResult& one : study.results) {
    if (!one.objection.empty()) ++objections[one.objection];
  }
  Standing standing;
  for (const auto& [objection, count] : objections) {
    standing.obstacles.push_back(
        fmt::format("{} of {} results: {}", count, study.results.size(), objection));
  }
  if (std::ranges::any_of(study.settings.rows, [](const auto& row) { return !row.interval; })) {
    standing.obstacles.emplace_back("too few evaluation windows for a confidence interval");
  }
  return standing;
}

}  // namespace

Markup study_verdict_section(const StudyRecord& study) {
  std::vector<RecipeRows> recipes = rows_by_recipe(study.settings);
  std::ranges::stable_sort(
      recipes, {}, [](const RecipeRows& one) { return std::abs(smallest(one).difference); });
  Markup content = headline(study, recipes);
  content += cards(recipes);
  Markup notes = standing_note("", standing_of(study));
  if (!study.samples.notes.empty()) {
    notes += tag("div", {{"class", "note"}},
                 note_of("How many sequences are enough", study.samples.notes));
  }
  content += tag("div", {{"class", "notes"}}, notes);
  content +=
      tag("p", {{"class", "under"}},
          fmt::format("Means over all datasets and seeds, with {} calibration sequences; {}.",
                      most_samples(study), protocol_text(study)));
  return page_section("verdict", "Verdict", "", content);
}

}  // namespace fp8cal
