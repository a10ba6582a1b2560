#pragma once

#include <string>
#include <vector>

#include "coordinator/report/result_figures.hpp"
#include "coordinator/status/text_table.hpp"

namespace fp8cal {

/// The recipes that were evaluated in any of the results, in the order in which they come first.
std::vector<std::string> recipes_of(const ReportFigures& report);

/// A row for each perplexity, job key and fact of the run that is not the same in all results, a
/// column a result; "-" where a result has none.
TextTable comparison_table(const ReportFigures& report);

}  // namespace fp8cal
