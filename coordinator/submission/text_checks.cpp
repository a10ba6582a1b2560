#include "coordinator/submission/text_checks.hpp"

#include <algorithm>
#include <sstream>

namespace fp8cal {
namespace {

constexpr const char* kBlanks = " \t\r\n";
constexpr std::size_t kMaxShown = 400;

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(kBlanks) - first + 1));
}

std::string first_line(std::string_view text) {
  std::string line = trimmed(text);
  line.resize(std::min(line.find('\n'), std::min(line.size(), kMaxShown)));
  const auto is_control = [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; };
  std::replace_if(line.begin(), line.end(), is_control, ' ');
  return trimmed(line);
}

}  // namespace fp8cal
