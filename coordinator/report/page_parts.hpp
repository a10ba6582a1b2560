#pragma once

#include <string>
#include <string_view>

#include "coordinator/report/markup.hpp"
#include "coordinator/status/text_table.hpp"

namespace fp8cal {

/// A section with its heading; `says` is what it answers, in a sentence.
Markup page_section(const char* id, const char* heading, std::string_view says,
                    const Markup& content);

/// Figures side by side as far as there is room.
Markup chart_grid(const Markup& figures);

/// A table that scrolls on its own where it is too wide. Columns of
/// numbers stand right. Rows are no longer than the header.
Markup html_table(const TextTable& table, std::string_view caption);

/// Content that unfolds.
Markup details(std::string_view summary, const Markup& content);

/// Why something is not there.
Markup absent(std::string_view sentence);

}  // namespace fp8cal
