#include "coordinator/audit/finding.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fp8cal {

std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c >= 0x7F; }, '?');
  return text;
}

std::string text_of(const Finding& finding) {
  return printable(fmt::format("{}: {}: expected {}, found {}", finding.object, finding.what,
                               finding.expected, finding.found));
}

Finding finding_of(const InputError& error, const std::string& file) {
  const std::string prefix = file + ":";
  const bool in_file = error.where.starts_with(prefix);
  return {in_file ? error.where.substr(prefix.size()) : error.where, error.what_is, error.expected,
          error.found};
}

}  // namespace fp8cal
