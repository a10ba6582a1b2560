#include "coordinator/submission/quoting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMaxValueBytes = 4096;

void refuse_control_characters(const std::string& text) {
  const auto is_control = [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; };
  if (std::none_of(text.begin(), text.end(), is_control)) return;
  throw InputError("submit", "control character in what would go into a batch script",
                   "names and values without any", in_quotes(text));
}

bool is_plain(unsigned char byte) {
  constexpr std::string_view kPlain = "._/:=,@%+-";
  return std::isalnum(byte) != 0 || kPlain.find(static_cast<char>(byte)) != std::string_view::npos;
}

}  // namespace

std::string bash_word(const std::string& text) {
  refuse_control_characters(text);
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c;
    }
  }
  return word + "'";
}

std::string bash_array(const std::string& name, const std::vector<std::string>& words) {
  std::string text = name + "=(";
  for (std::size_t i = 0; i < words.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : " ", bash_word(words[i]));
  }
  return text + ")";
}

std::string sbatch_line(const std::string& name, const std::string& value) {
  refuse_control_characters(value);
  if (value.size() > kMaxValueBytes) {
    throw InputError("submit", "value of --" + name + " too long for sbatch",
                     fmt::format("at most {} bytes", kMaxValueBytes),
                     fmt::format("{} bytes", value.size()));
  }
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_plain)) {
    return fmt::format("#SBATCH --{}={}\n", name, value);
  }
  std::string quoted;
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return fmt::format("#SBATCH --{}=\"{}\"\n", name, quoted);
}

std::string in_file_pattern(const std::string& path) {
  if (path.find('\\') != std::string::npos) {
    throw InputError("output.result", "backslash in a path that Slurm writes its output to",
                     "a path without any", in_quotes(path));
  }
  std::string pattern;
  for (const char c : path) {
    if (c == '%') pattern += '%';
    pattern += c;
  }
  return pattern;
}

}  // namespace fp8cal
