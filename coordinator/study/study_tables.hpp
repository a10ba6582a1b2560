#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/bootstrap.hpp"
#include "coordinator/study/study_figures.hpp"

namespace fp8cal {

/// A row of a study's table: the mean perplexity difference (FP8 minus BF16) of some results.
struct StudyRow {
  std::vector<std::string> keys;  ///< what these results have in common, one a key of the table
  std::size_t results = 0;
  double difference = 0;  ///< mean
  std::optional<Interval> interval =
      {};            ///< of the mean, over evaluation windows; none with one window
  double least = 0;  ///< of the results
  double most = 0;
  double deviation = 0;  ///< standard deviation over the results, with n - 1; 0 of one
  /// Of the table of samples: mean change to the most samples, on the same windows.
  std::optional<double> change = {};
  std::optional<Interval> change_interval = {};
};

/// The table answers one question; `name` is that of its file.
struct StudyTable {
  std::string name;
  std::string title;
  std::vector<std::string> keys;
  std::vector<StudyRow> rows;
  std::vector<std::string> notes;  ///< lines that say what follows
};

/// Difference from which on a change of the number of samples matters: the verdict's first band.
inline constexpr double kSettledWithin = 0.05;

/// By dataset, by number of samples, by setting (recipe and policy), and from seed to seed. Means
/// are over what a table does not name, at the most samples and with the first policy where it
/// names neither. Intervals are drawn with this seed.
std::vector<StudyTable> study_tables(const StudyFigures& figures, std::uint64_t seed);

}  // namespace fp8cal
