#include "jobs/byte_size.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace fp8cal {
namespace {

struct Unit {
  const char* name;
  int shift;
};

constexpr Unit kUnits[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}};

}  // namespace

std::optional<std::uint64_t> parse_byte_size(const std::string& text) {
  std::string digits = text;
  int shift = 0;
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    digits.resize(text.size() - 3);
    shift = unit.shift;
  }
  std::uint64_t number = 0;
  const char* last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, number);
  const bool fits = number <= std::numeric_limits<std::uint64_t>::max() >> shift;
  if (error != std::errc() || end != last || number == 0 || !fits) return std::nullopt;
  return number << shift;
}

std::string format_byte_size(std::uint64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >> unit.shift == 0) continue;
    const double size = static_cast<double>(bytes) / static_cast<double>(1ull << unit.shift);
    return fmt::format("{:.1f} {}", size, unit.name);
  }
  return fmt::format("{} bytes", bytes);
}

}  // namespace fp8cal
