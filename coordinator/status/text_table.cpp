#include "coordinator/status/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/status/printable.hpp"

namespace fp8cal {
namespace {

using Row = std::vector<std::string>;

/// Characters, of valid UTF-8.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string aligned_row(const Row& row, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string cell = printable(row[i]);
    line += cell;
    if (i + 1 < row.size()) line.append(widths[i] + 2 - width_of(cell), ' ');
  }
  return line + "\n";
}

std::string csv_cell(const std::string& cell) {
  if (cell.find_first_of(",\"\r\n") == cell.npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_row(const Row& row) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) line += ',';
    line += csv_cell(row[i]);
  }
  return line + "\r\n";
}

}  // namespace

std::string aligned_text(const TextTable& table) {
  std::vector<std::size_t> widths(table.header.size(), 0);
  const auto measure = [&widths](const Row& row) {
    const std::size_t cells = row.size() < widths.size() ? row.size() - 1 : row.size();
    for (std::size_t i = 0; i < cells; ++i) {
      widths[i] = std::max(widths[i], width_of(printable(row[i])));
    }
  };
  measure(table.header);
  for (const Row& row : table.rows) measure(row);
  std::string text = aligned_row(table.header, widths);
  for (const Row& row : table.rows) text += aligned_row(row, widths);
  return text;
}

std::string csv_text(const TextTable& table) {
  std::string text = csv_row(table.header);
  for (const Row& row : table.rows) text += csv_row(row);
  return text;
}

}  // namespace fp8cal
