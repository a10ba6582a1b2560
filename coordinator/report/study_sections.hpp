#pragma once

#include <string>
#include <vector>

#include "coordinator/report/markup.hpp"
#include "coordinator/study/study_file.hpp"

namespace fp8cal {

/// The sections of a study's page, in its order.
Markup study_verdict_section(const StudyRecord& study);
Markup study_datasets_section(const StudyRecord& study);
Markup study_samples_section(const StudyRecord& study);
Markup study_settings_section(const StudyRecord& study);
Markup study_variation_section(const StudyRecord& study);
Markup study_results_section(const StudyRecord& study);

/// Rows of a table that are of one recipe, one or more.
struct RecipeRows {
  std::string recipe;
  std::vector<const StudyRow*> rows;  ///< in the table's order
};

/// By recipe, in the order in which they come first. Borrows `table`.
std::vector<RecipeRows> rows_by_recipe(const StudyTable& table);

/// The number of calibration sequences that all but the table of samples are about.
std::size_t most_samples(const StudyRecord& study);

/// The table's notes as paragraphs.
Markup notes_of(const StudyTable& table);

/// The numbers of a table, to unfold.
Markup numbers_of(const StudyTable& table);

}  // namespace fp8cal
