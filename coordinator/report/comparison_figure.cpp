#include "coordinator/report/comparison_figure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace fp8cal {
namespace {

constexpr const char* kNone = "-";

using Values = std::vector<std::string>;  ///< [results]

Values values_of(const ReportFigures& report,
                 const std::function<std::string(const ResultFigures&)>& value) {
  Values values;
  for (const ResultFigures& one : report.results) values.push_back(value(one));
  return values;
}

void add_if_different(TextTable& table, const std::string& name, Values values) {
  const bool same = std::ranges::all_of(values, [&](const auto& one) { return one == values[0]; });
  if (same) return;
  values.insert(values.begin(), name);
  table.rows.push_back(std::move(values));
}

/// The names of all results' facts, in the order in which they come first.
std::vector<std::string> names_of(const ReportFigures& report, std::vector<Fact> Facts::*list) {
  std::vector<std::string> names;
  for (const ResultFigures& one : report.results) {
    for (const Fact& fact : one.facts.*list) {
      if (std::ranges::find(names, fact.name) == names.end()) names.push_back(fact.name);
    }
  }
  return names;
}

void add_facts(TextTable& table, const ReportFigures& report, std::vector<Fact> Facts::*list) {
  for (const std::string& name : names_of(report, list)) {
    add_if_different(table, name, values_of(report, [&](const ResultFigures& one) {
                       const auto fact = std::ranges::find(one.facts.*list, name, &Fact::name);
                       return fact == (one.facts.*list).end() ? kNone : fact->value;
                     }));
  }
}

std::string recipe_text(const ResultFigures& one, const std::string& recipe) {
  const auto found = std::ranges::find(one.recipes, recipe, &RecipeFigures::recipe);
  if (found == one.recipes.end()) return kNone;
  std::string text = fmt::format("{:.4f}", found->perplexity);
  if (found->difference) text += fmt::format(" ({:+.4f})", found->difference->difference);
  return text;
}

}  // namespace

std::vector<std::string> recipes_of(const ReportFigures& report) {
  std::vector<std::string> recipes;
  for (const ResultFigures& one : report.results) {
    for (const RecipeFigures& recipe : one.recipes) {
      if (std::ranges::find(recipes, recipe.recipe) == recipes.end()) {
        recipes.push_back(recipe.recipe);
      }
    }
  }
  return recipes;
}

TextTable comparison_table(const ReportFigures& report) {
  TextTable table;
  table.header = {"what"};
  for (std::size_t i = 0; i < report.results.size(); ++i) table.header.push_back(result_letter(i));
  add_if_different(table, "file", values_of(report, [](const auto& one) { return one.file; }));
  add_if_different(table, "content digest",
                   values_of(report, [](const auto& one) { return one.digest; }));
  add_if_different(table, "perplexity of bf16", values_of(report, [](const ResultFigures& one) {
                     return one.bf16 ? fmt::format("{:.4f}", *one.bf16) : kNone;
                   }));
  for (const std::string& recipe : recipes_of(report)) {
    add_if_different(table, "perplexity of " + recipe + " (above bf16)",
                     values_of(report, [&](const auto& one) { return recipe_text(one, recipe); }));
  }
  add_facts(table, report, &Facts::job);
  add_facts(table, report, &Facts::provenance);
  return table;
}

}  // namespace fp8cal
