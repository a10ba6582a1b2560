#include "coordinator/study/study_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace fp8cal {
namespace {

using Group = std::vector<const StudyFigure*>;

/// Results with the same keys, the first of which is the recipe: recipe by recipe, else in the
/// order in which the keys come first.
struct Groups {
  std::vector<std::vector<std::string>> keys;
  std::vector<Group> groups;
};

/// In the order in which they come first.
std::vector<std::string> recipes_of(const StudyFigures& figures) {
  std::vector<std::string> recipes;
  for (const StudyFigure& one : figures.all) {
    if (std::ranges::find(recipes, one.recipe) == recipes.end()) recipes.push_back(one.recipe);
  }
  return recipes;
}

Groups group_by(const StudyFigures& figures, const std::function<bool(const StudyFigure&)>& belongs,
                const std::function<std::vector<std::string>(const StudyFigure&)>& keys_of) {
  Groups all;
  for (const std::string& recipe : recipes_of(figures)) {
    for (const StudyFigure& one : figures.all) {
      if (one.recipe != recipe || !belongs(one)) continue;
      const std::vector<std::string> keys = keys_of(one);
      const auto found = std::ranges::find(all.keys, keys);
      const auto at = static_cast<std::size_t>(found - all.keys.begin());
      if (found == all.keys.end()) {
        all.keys.push_back(keys);
        all.groups.emplace_back();
      }
      all.groups[at].push_back(&one);
    }
  }
  return all;
}

StudyRow row_of(const std::vector<std::string>& keys, const Group& group, std::uint64_t seed) {
  StudyRow row = {.keys = keys, .results = group.size()};
  std::vector<WindowSums> sums;
  row.least = row.most = group.front()->difference();
  for (const StudyFigure* one : group) {
    const double difference = one->difference();
    row.difference += difference / static_cast<double>(group.size());
    row.least = std::min(row.least, difference);
    row.most = std::max(row.most, difference);
    sums.push_back(one->sums);
  }
  row.interval = mean_difference_interval(sums, seed);
  double squares = 0;
  for (const StudyFigure* one : group) squares += std::pow(one->difference() - row.difference, 2);
  if (group.size() > 1) row.deviation = std::sqrt(squares / static_cast<double>(group.size() - 1));
  return row;
}

StudyTable table_of(StudyTable table, const Groups& groups, std::uint64_t seed) {
  for (std::size_t i = 0; i < groups.groups.size(); ++i) {
    table.rows.push_back(row_of(groups.keys[i], groups.groups[i], seed));
  }
  return table;
}

/// How the perplexity of each result changes to that with the most samples, which is otherwise
/// alike.
void add_change(StudyRow& row, const Group& fewer, const Group& most, std::uint64_t seed) {
  std::vector<WindowSums> pairs;
  double change = 0;
  for (std::size_t i = 0; i < fewer.size(); ++i) {  // in the order of calibrations, both
    pairs.push_back({.base = fewer[i]->sums.variant,
                     .variant = most[i]->sums.variant,
                     .tokens = fewer[i]->sums.tokens});
    change += most[i]->perplexity - fewer[i]->perplexity;
  }
  row.change = change / static_cast<double>(fewer.size());
  row.change_interval = mean_difference_interval(pairs, seed);
}

bool is_settled(const StudyRow& row) {
  return row.change_interval && row.change_interval->low > -kSettledWithin &&
         row.change_interval->high < kSettledWithin;
}

/// rows: of one recipe, fewest samples first.
std::string settled_note(const std::vector<StudyRow>& rows) {
  const std::string& recipe = rows.front().keys.front();
  // The last row is what the others are held against.
  const auto moving = std::find_if_not(rows.rbegin() + 1, rows.rend(), is_settled);
  const auto settled = moving.base();  // the row after it
  if (settled + 1 == rows.end()) {
    return fmt::format("{}: not settled before {} samples", recipe, rows.back().keys[1]);
  }
  return fmt::format("{}: from {} samples on, more of them change perplexity by less than {}",
                     recipe, settled->keys[1], kSettledWithin);
}

StudyTable samples_table(const StudyFigures& figures, const std::string& policy,
                         std::uint64_t seed) {
  const Groups groups = group_by(
      figures, [&](const StudyFigure& one) { return one.policy == policy; },
      [](const StudyFigure& one) {
        return std::vector<std::string>{one.recipe, fmt::to_string(one.samples)};
      });
  StudyTable table = {.name = "samples",
                      .title = "by number of calibration sequences",
                      .keys = {"recipe", "samples"},
                      .rows = {},
                      .notes = {}};
  std::map<std::string, std::vector<std::size_t>> of_recipe;  // recipe -> its groups
  for (std::size_t i = 0; i < groups.keys.size(); ++i) {
    of_recipe[groups.keys[i][0]].push_back(i);
  }
  for (const std::string& recipe : recipes_of(figures)) {
    std::vector<std::size_t>& own = of_recipe[recipe];
    const auto samples = [&](std::size_t i) { return groups.groups[i].front()->samples; };
    std::ranges::sort(own, {}, samples);
    std::vector<StudyRow> rows;
    for (const std::size_t i : own) {
      rows.push_back(row_of(groups.keys[i], groups.groups[i], seed));
      add_change(rows.back(), groups.groups[i], groups.groups[own.back()], seed);
    }
    table.rows.insert(table.rows.end(), rows.begin(), rows.end());
    if (rows.size() > 1) table.notes.push_back(settled_note(rows));
  }
  return table;
}

}  // namespace

std::vector<StudyTable> study_tables(const StudyFigures& figures, std::uint64_t seed) {
  const std::string policy = figures.all.front().policy;
  std::size_t samples = 0;
  std::set<std::uint64_t> seeds;
  for (const StudyFigure& one : figures.all) {
    samples = std::max(samples, one.samples);
    seeds.insert(one.seed);
  }
  const auto at_most = [&](const StudyFigure& one) { return one.samples == samples; };
  const auto is_main = [&](const StudyFigure& one) { return at_most(one) && one.policy == policy; };
  const auto by_dataset = [](const StudyFigure& one) {
    return std::vector<std::string>{one.recipe, one.dataset};
  };
  std::vector<StudyTable> tables;
  tables.push_back(table_of({.name = "datasets",
                             .title = fmt::format("by calibration dataset, {} sequences", samples),
                             .keys = {"recipe", "dataset"},
                             .rows = {},
                             .notes = {}},
                            group_by(figures, is_main, by_dataset), seed));
  tables.back().notes.push_back(
      seeds.size() > 1
          ? fmt::format("from run to run: none with one seed (equal bits); over {} seeds the "
                        "standard deviation beside each row",
                        seeds.size())
          : "from run to run: none with one seed (equal bits); other seeds were not tried");
  tables.push_back(samples_table(figures, policy, seed));
  tables.push_back(table_of({.name = "settings",
                             .title = fmt::format("by recipe and policy, {} sequences", samples),
                             .keys = {"recipe", "policy"},
                             .rows = {},
                             .notes = {}},
                            group_by(figures, at_most,
                                     [](const StudyFigure& one) {
                                       return std::vector<std::string>{one.recipe, one.policy};
                                     }),
                            seed));
  return tables;
}

}  // namespace fp8cal
