#include "coordinator/profile/profile_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace fp8cal {
namespace {

constexpr std::size_t kGap = 2;  // between columns

std::size_t width_of(const TextTable& table, std::size_t column) {
  std::size_t width = table.header[column].size();
  for (const auto& row : table.rows) width = std::max(width, row[column].size());
  return width;
}

/// The first column and those from `begin` to `end`.
TextTable part_of(const TextTable& table, std::size_t begin, std::size_t end) {
  const auto cut = [&](const std::vector<std::string>& row) {
    std::vector<std::string> part = {row.front()};
    for (std::size_t c = begin; c < end; ++c) part.push_back(row[c]);
    return part;
  };
  TextTable part = {cut(table.header), {}};
  for (const auto& row : table.rows) part.rows.push_back(cut(row));
  return part;
}

}  // namespace

std::string folded_text(const TextTable& table) {
  std::string text;
  const std::size_t columns = table.header.size();
  for (std::size_t begin = 1; begin < columns;) {
    std::size_t width = width_of(table, 0);
    std::size_t end = begin;
    while (end < columns) {
      width += kGap + width_of(table, end);
      if (width > kTableWidth && end > begin) break;
      ++end;
    }
    text += aligned_text(part_of(table, begin, end));
    begin = end;
  }
  return text;
}

std::string ms_text(double seconds) {
  const double ms = seconds * 1e3;
  const double size = std::abs(ms);
  return fmt::format("{:.{}f}", ms, size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0);
}

std::string share_text(std::optional<double> share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "-";
}

std::string gain_text(std::optional<double> gain) {
  return gain ? fmt::format("{:.2f} x", *gain) : "-";
}

std::string sequences_text(std::size_t sequences) {
  return fmt::format("{} {}", sequences, sequences == 1 ? "sequence" : "sequences");
}

}  // namespace fp8cal
