#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/study/study_tables.hpp"

namespace fp8cal {

/// The perplexity of one recipe of a result, and that of BF16.
struct StudyPerplexity {
  std::string recipe;  ///< with its kind of keys and values
  double bf16 = 0;
  double perplexity = 0;

  double difference() const { return perplexity - bf16; }
};

/// One result of a study.
struct StudyResult {
  std::string dataset;
  std::uint64_t seed = 0;
  std::size_t samples = 0;
  std::string policy;
  std::string file;       ///< relative to the study file's folder
  std::string digest;     ///< 64 hexadecimal digits
  std::string objection;  ///< why it is not to be reported, a sentence; empty where it is
  std::vector<StudyPerplexity> recipes;
};

/// What a study file holds.
struct StudyRecord {
  std::string model;                            ///< path
  std::size_t calibration_sequence_length = 0;  ///< tokens
  std::string evaluation_dataset;               ///< path
  std::size_t evaluation_sequence_length = 0;   ///< tokens
  std::size_t evaluation_windows = 0;           ///< 0: not stated
  std::vector<StudyResult> results;             ///< one or more; all with the same recipes
  StudyTable datasets;                          ///< keys: recipe, dataset
  StudyTable samples;                           ///< keys: recipe, samples
  StudyTable settings;                          ///< keys: recipe, policy; one row or more

  /// In the order of the file.
  std::vector<const StudyTable*> tables() const { return {&datasets, &samples, &settings}; }
};

/// One JSON object with "format": "fp8cal-study", "version": 1, "protocol" (what all results have
/// in common), "results" (each with its keys, file, content digest and the figures of each recipe)
/// and "tables". Differences of results and verdicts are in it for other readers: they follow from
/// the rest.
std::string study_json(const StudyRecord& study);

/// The other way, of text that is not trusted: counts, types and ranges are checked, that intervals
/// hold, that keys are those of each table, and that results have the same recipes. Throws
/// InputError naming `where`.
StudyRecord parse_study(std::string_view text, const std::string& where);

/// parse_study of a file of 64 MiB at most. Throws Error with exit code 2 where it cannot be
/// opened.
StudyRecord read_study_file(const std::filesystem::path& file);

}  // namespace fp8cal
