#include "coordinator/checkpoint/markdown.hpp"

#include <algorithm>

#include "jobs/utf8.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMaxSpan = 300;

}  // namespace

std::string code_span(std::string_view text) {
  std::string line;
  std::size_t longest = 0, run = 0;  // of backticks
  for (std::size_t at = 0; at < text.size();) {
    const bool is_valid = first_invalid_utf8(text.substr(at, 4)) != 0;
    const std::size_t bytes =
        is_valid ? utf8_length(static_cast<unsigned char>(text[at])) : std::size_t{1};
    if (line.size() + bytes > kMaxSpan) {
      line += "...";
      break;
    }
    const bool is_control = static_cast<unsigned char>(text[at]) < 0x20 || text[at] == 0x7F;
    line += is_valid && !is_control ? text.substr(at, bytes) : "?";
    run = text[at] == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
    at += bytes;
  }
  if (line.empty()) return "(empty)";
  const std::string fence(longest + 1, '`');
  // One space at each end is not shown, and keeps backticks and spaces of the text apart from it.
  const auto is_edge = [](char c) { return c == '`' || c == ' '; };
  const char* gap = is_edge(line.front()) || is_edge(line.back()) ? " " : "";
  return fence + gap + line + gap + fence;
}

}  // namespace fp8cal
