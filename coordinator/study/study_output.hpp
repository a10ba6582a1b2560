#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/status/text_table.hpp"
#include "coordinator/study/study.hpp"
#include "coordinator/study/study_figures.hpp"
#include "coordinator/study/study_file.hpp"

namespace fp8cal {

/// What is to be written of a study. tables: those of study_tables.
StudyRecord study_record(const Study& study, const StudyFigures& figures,
                         const std::vector<StudyTable>& tables);

/// "+0.0944 to +0.2229"; "-" for none.
std::string interval_text(const std::optional<Interval>& interval);

/// A table for people, with four digits.
TextTable short_table(const StudyTable& table);

/// "calibrated on sequences of 128 tokens, evaluated on 10 x 256 tokens of test.txt".
std::string protocol_text(const StudyRecord& study);

/// The tables for a terminal, with what they were measured by. file: the study file.
std::string study_text(const StudyRecord& study, const std::filesystem::path& file);

/// Writes each table as FOLDER/NAME.csv with all digits, and the figures of all results as
/// results.csv. Makes the folder. Throws Error.
void write_study_csv(const std::filesystem::path& folder, const StudyRecord& study,
                     const std::filesystem::path& file);

}  // namespace fp8cal
