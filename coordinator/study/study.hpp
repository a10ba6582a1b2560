#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/job.hpp"

namespace fp8cal {

inline constexpr std::size_t kMaxStudyCells = 4096;

/// One dataset with one seed: calibrated on once, whatever number of its samples are asked for.
struct StudyCalibration {
  std::string dataset;  ///< its name in tables
  Job job;              ///< with the most samples
};

/// What a job of its own would give, to the bit.
struct StudyCell {
  std::size_t calibration = 0;  ///< of Study::calibrations
  Job job;                      ///< its output.result is where the cell's result lies
};

/// A job file whose calibration.dataset, calibration.seed, calibration.samples and scales.policy
/// may be lists: a cell for each combination of them.
struct Study {
  std::filesystem::path file;     ///< output.result: the study file, absolute
  std::filesystem::path results;  ///< folder of the cells' results: file + ".results"
  std::vector<StudyCalibration> calibrations;
  std::vector<StudyCell> cells;  ///< by calibration, then samples (fewest first), then policy
};

/// Reads a study. A dataset of JSON Lines may name its own fields, as calibration.field has them:
/// "openorca.jsonl:question+response". Throws InputError as read_job does, and for what a study
/// does not have: quality gates, a checkpoint, an FP8 model, values that come twice, and more than
/// kMaxStudyCells.
Study read_study(const std::filesystem::path& file, const std::vector<JobOption>& options);

/// One calibration of a study, with its cells; the files are those of the whole.
Study part_of(const Study& study, std::size_t calibration);

}  // namespace fp8cal
