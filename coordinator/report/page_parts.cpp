#include "coordinator/report/page_parts.hpp"

namespace fp8cal {
namespace {

bool is_numeric(const std::string& cell) {
  const std::size_t first = cell.find_first_not_of("+-");
  return first != cell.npos && cell[first] >= '0' && cell[first] <= '9' && cell.size() < 24;
}

Markup table_row(const std::vector<std::string>& row) {
  Markup cells;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i == 0) {
      cells += tag("th", {{"scope", "row"}}, row[i]);
    } else {
      cells +=
          tag("td", is_numeric(row[i]) ? Markup::Attributes{{"class", "n"}} : Markup::Attributes{},
              row[i]);
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
  for (const std::string& name : table.header) head += tag("th", {{"scope", "col"}}, name);
  Markup body;
  for (const auto& row : table.rows) body += table_row(row);
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
