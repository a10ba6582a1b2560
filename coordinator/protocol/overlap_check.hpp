#pragma once

#include <string>

#include "jobs/job.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// The attribute of /job that marks a result whose calibration and evaluation text overlap; absent
/// from all others.
inline constexpr const char* kOverlapAttribute = "overlap";

/// What that attribute says: "5312 of 287045 evaluation tokens lie in 32-grams of the calibration
/// text". Empty where no more is in common than by chance, or nothing is calibrated.
std::string overlap_mark(const TokenWindows& calibration, const TokenWindows& evaluation);

/// The overlap_mark of a job's windows. Throws InputError where it has one and does not allow it.
std::string check_overlap(const Job& job, const TokenWindows& calibration,
                          const TokenWindows& evaluation);

/// Why the figures of a result with this /job are not to be reported, to be said beside them;
/// empty where they are.
std::string not_reportable(const Attributes& job);

}  // namespace fp8cal
