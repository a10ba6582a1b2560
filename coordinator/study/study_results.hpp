#pragma once

#include <cstddef>
#include <vector>

#include "coordinator/inputs.hpp"
#include "coordinator/study/study.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// What a job of its own would read for the cell: the first sequences of its calibration. inputs:
/// [calibrations].
Inputs inputs_of(const StudyCell& cell, const std::vector<Inputs>& inputs);

/// What lies in a study's folder already.
struct StudyResults {
  std::vector<std::size_t> missing;  ///< cells without a result
  /// Of those that are there, what no job file determines: weights_digest, weights_format,
  /// numerics, fp8_products. Empty where there are none.
  Attributes made_by;
};

/// Throws InputError naming the file where a result is damaged, is of another job than its cell, or
/// was not made as the others were.
StudyResults look_for_results(const Study& study, const std::vector<Inputs>& inputs);

/// The attributes of `job` that StudyResults::made_by tells of.
Attributes made_by(const Attributes& job);

/// Throws InputError naming `where` where they are not those of the results before, if there are
/// any.
void expect_made_alike(const Attributes& before, const Attributes& now, const std::string& where);

}  // namespace fp8cal
