#include "coordinator/report/study_sections.hpp"

#include <algorithm>
#include <map>

#include "coordinator/report/page_parts.hpp"
#include "coordinator/study/study_output.hpp"

namespace fp8cal {

std::vector<RecipeRows> rows_by_recipe(const StudyTable& table) {
  std::vector<RecipeRows> all;
  std::map<std::string, std::size_t> places;
  for (const StudyRow& row : table.rows) {
    const auto [place, is_new] = places.try_emplace(row.keys[0], all.size());
    if (is_new) all.push_back({.recipe = row.keys[0], .rows = {}});
    all[place->second].rows.push_back(&row);
  }
  return all;
}

std::size_t most_samples(const StudyRecord& study) {
  return std::ranges::max(study.results, {}, &StudyResult::samples).samples;
}

Markup notes_of(const StudyTable& table) {
  Markup all;
  for (const std::string& note : table.notes) all += tag("p", note);
  return all;
}

Markup numbers_of(const StudyTable& table) {
  return details("The numbers", html_table(short_table(table), table.title));
}

}  // namespace fp8cal
