#pragma once

#include <string>

#include "coordinator/report/markup.hpp"
#include "coordinator/report/result_figures.hpp"

namespace fp8cal {

/// Every tensor with every scale for page.js, as a block of JSON: as many as fit into
/// kMostDistributionBytes, and a sentence where that is not all.
inline constexpr std::size_t kMostDistributionBytes = std::size_t{1} << 19;
Markup distribution_data(const ReportFigures& report);

/// Counts as text, two characters each: 200 times the decimal logarithm in base 64, most
/// significant digit first, "--" for none. Digits: A-Z, a-z, 0-9, "_" and "~".
std::string encoded_counts(const std::vector<std::uint64_t>& counts);

}  // namespace fp8cal
