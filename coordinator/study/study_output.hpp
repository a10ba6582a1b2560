#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/study/study.hpp"
#include "coordinator/study/study_figures.hpp"
#include "coordinator/study/study_tables.hpp"

namespace fp8cal {

/// The tables for a terminal, with what they were measured by.
std::string study_text(const Study& study, const StudyFigures& figures,
                       const std::vector<StudyTable>& tables);

/// What the study file holds: one JSON object with "format": "fp8cal-study", "version": 1,
/// "protocol" (what all results have in common), "results" (a cell each: its keys, file, content
/// digest, and the figures of each recipe) and "tables". Files are named relative to its folder.
std::string study_json(const Study& study, const StudyFigures& figures,
                       const std::vector<StudyTable>& tables);

/// Writes each table as FOLDER/NAME.csv with all digits, and the figures of all results as
/// results.csv. Makes the folder. Throws Error.
void write_study_csv(const std::filesystem::path& folder, const Study& study,
                     const StudyFigures& figures, const std::vector<StudyTable>& tables);

}  // namespace fp8cal
