#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace fp8cal {

inline constexpr std::size_t kMaxJsonLine = std::size_t{256} << 20;

/// Reads JSON Lines: one object a line, blank lines skipped. A document is the strings of `fields`,
/// in that order, joined by a blank line ("\n\n"). Throws InputError naming file:line for a line
/// beyond kMaxJsonLine bytes, one that is no JSON object, and a field that is missing or no string.
std::vector<std::string> read_json_lines(const std::filesystem::path& path,
                                         const std::vector<std::string>& fields);

}  // namespace fp8cal
