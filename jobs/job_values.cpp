#include "jobs/job_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "jobs/byte_size.hpp"
#include "jobs/error.hpp"

namespace fp8cal {

std::uint64_t parse_number(const std::string& key, const std::string& text, std::uint64_t min,
                           std::uint64_t max, const std::string& alternative) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    throw InputError(key, "bad value",
                     fmt::format("{}a whole number from {} to {}", alternative, min, max),
                     "'" + text + "'");
  }
  return number;
}

std::uint64_t parse_bytes(const std::string& key, const std::string& text) {
  if (const auto bytes = parse_byte_size(text)) return *bytes;
  throw InputError(key, "bad value", "auto or a size such as 80GiB", "'" + text + "'");
}

std::string parse_choice(const std::string& key, const std::string& text,
                         const std::vector<std::string>& choices) {
  std::string expected;
  for (const std::string& choice : choices) {
    if (choice == text) return text;
    expected += (expected.empty() ? "" : ", ") + choice;
  }
  throw InputError(key, "bad value", "one of " + expected, "'" + text + "'");
}

std::optional<double> parse_limit(const std::string& key, const std::string& text) {
  if (text == "none") return std::nullopt;
  double limit = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, limit);
  if (error == std::errc() && last == end && limit >= 0 && std::isfinite(limit)) return limit;
  throw InputError(key, "bad value", "none or a number from 0 on", "'" + text + "'");
}

std::chrono::duration<double> parse_seconds(const std::string& key, const std::string& text,
                                            double min) {
  constexpr double kMax = 1e6;
  double seconds = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, seconds);
  if (error == std::errc() && last == end && seconds >= min && seconds <= kMax) {
    return std::chrono::duration<double>(seconds);
  }
  throw InputError(key, "bad value", fmt::format("seconds from {} to {}", min, kMax),
                   "'" + text + "'");
}

void refuse_duplicates(const std::string& key, std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  const auto twice = std::adjacent_find(values.begin(), values.end());
  if (twice == values.end()) return;
  throw InputError(key, "bad value", "each name once", "'" + *twice + "' twice");
}

}  // namespace fp8cal
