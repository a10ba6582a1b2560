#pragma once

#include <string>
#include <vector>

#include "coordinator/report/result_figures.hpp"
#include "coordinator/status/text_table.hpp"

namespace fp8cal {

/// A figure's numbers, with all digits.
struct FigureTable {
  std::string name;  ///< of its file, without ".csv"
  TextTable table;   ///< the first column names the result's file
};

/// Of every figure (docs/report.md says the columns); a figure without numbers has no rows.
std::vector<FigureTable> figure_tables(const ReportFigures& report);

}  // namespace fp8cal
