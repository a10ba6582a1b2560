#include "coordinator/submission/batch_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

struct Field {
  std::string_view line;
  std::string_view text;
  bool required = true;
  int seen = 0;
};

/// "@SOMETHING@".
bool looks_like_field(std::string_view line) {
  const auto is_name = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
  return line.size() > 2 && line.front() == '@' && line.back() == '@' &&
         std::all_of(line.begin() + 1, line.end() - 1, is_name);
}

bool is_comment(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos || line[first] == '#';
}

}  // namespace

std::string render_template(const std::string& name, std::string_view text,
                            const ScriptParts& parts) {
  std::array<Field, 4> fields = {{{"@DIRECTIVES@", parts.directives},
                                  {"@SETUP@", parts.setup},
                                  {"@SETTINGS@", parts.settings},
                                  {"@BINDING@", binding_script(), false}}};
  const auto refuse = [&](std::string_view field, const std::string& expected,
                          const std::string& found) {
    throw InputError(name, fmt::format("batch template: line {}", field), expected, found);
  };
  if (!text.starts_with("#!")) {
    throw InputError(name, "batch template", "a first line that begins with #!",
                     in_quotes(text.substr(0, text.find('\n'))));
  }
  std::string script;
  bool commands = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&](const Field& one) { return one.line == line; });
    if (field != fields.end()) {
      if (++field->seen > 1) refuse(line, "it once", "it again");
      if (field == fields.begin() && commands)
        refuse(line, "it before any command", "it after one");
      script += field->text;
      continue;
    }
    if (looks_like_field(line))
      refuse(line, "@DIRECTIVES@, @SETUP@, @SETTINGS@ or @BINDING@", "another");
    commands = commands || !is_comment(line);
    script += std::string(line) + "\n";
  }
  for (const Field& field : fields) {
    if (field.required && field.seen == 0) refuse(field.line, "it once, alone", "none");
  }
  return script;
}

}  // namespace fp8cal
