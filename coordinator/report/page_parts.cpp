#include "coordinator/report/page_parts.hpp"

namespace fp8cal {
namespace {

bool is_numeric(const std::string& cell) {
  const std::size_t first = cell.find_first_not_of("+-");
  return first == cell.npos || (cell[first] >= '0' && cell[first] <= '9' && cell.size() < 16);
}

/// Whether a column holds numbers, with units or without, and marks of absence.
std::vector<bool> numeric_columns(const TextTable& table) {
  std::vector<bool> numeric(table.header.size(), true);
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) numeric[i] = numeric[i] && is_numeric(row[i]);
  }
  return numeric;
}

Markup table_row(const std::vector<std::string>& row, const std::vector<bool>& numeric) {
  Markup cells;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i == 0) {
      cells += tag("th", {{"scope", "row"}}, row[i]);
    } else {
      cells +=
          tag("td", numeric[i] ? Markup::Attributes{{"class", "n"}} : Markup::Attributes{}, row[i]);
    }
  }
  return tag("tr", {}, cells);
}

}  // namespace

Markup page_section(const char* id, const char* heading, std::string_view says,
                    const Markup& content) {
  Markup inside = tag("h2", {{"id", std::string(id) + "-heading"}}, heading);
  if (!says.empty()) inside += tag("p", {{"class", "says"}}, says);
  inside += content;
  return tag("section", {{"id", id}, {"aria-labelledby", std::string(id) + "-heading"}}, inside);
}

Markup chart_grid(const Markup& figures) { return tag("div", {{"class", "charts"}}, figures); }

Markup html_table(const TextTable& table, std::string_view caption) {
  Markup head;
  const std::vector<bool> numeric = numeric_columns(table);
  for (std::size_t i = 0; i < table.header.size(); ++i) {
    head +=
        tag("th", {{"scope", "col"}, {"class", i > 0 && numeric[i] ? "n" : ""}}, table.header[i]);
  }
  Markup body;
  for (const auto& row : table.rows) body += table_row(row, numeric);
  Markup all = tag("caption", caption);
  all += tag("thead", {}, tag("tr", {}, head));
  all += tag("tbody", {}, body);
  // Reached by the keyboard, as it may have to be scrolled.
  return tag("div",
             {{"class", "table"},
              {"tabindex", "0"},
              {"role", "region"},
              {"aria-label", std::string(caption)}},
             tag("table", {}, all));
}

Markup details(std::string_view summary, const Markup& content) {
  Markup inside = tag("summary", summary);
  inside += content;
  return tag("details", {}, inside);
}

Markup absent(std::string_view sentence) { return tag("p", {{"class", "absent"}}, sentence); }

}  // namespace fp8cal
