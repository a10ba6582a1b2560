#pragma once

#include <string>
#include <vector>

namespace fp8cal {

/// Rows of cells. A row that is shorter than the header ends with a cell that runs on to the right.
struct TextTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

/// The table in columns, for a terminal: control characters become '?'.
std::string aligned_text(const TextTable& table);

/// The table as CSV (RFC 4180): CRLF after each line; in double quotes what needs them.
std::string csv_text(const TextTable& table);

}  // namespace fp8cal
