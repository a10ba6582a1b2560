#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fp8cal {

/// A whole number from `min` to `max` in decimal digits, nothing else; none where `text` is none.
inline std::optional<std::uint64_t> parse_whole(std::string_view text, std::uint64_t min,
                                                std::uint64_t max) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || last != end || number < min || number > max) return std::nullopt;
  return number;
}

/// What stands between blanks.
std::vector<std::string> words_of(std::string_view text);

/// `text` without the blanks around it.
std::string trimmed(std::string_view text);

/// The first line of what a program said that is no blank, fit for a message: without control
/// characters, and shortened. Empty where there is none.
std::string first_line(std::string_view text);

}  // namespace fp8cal
