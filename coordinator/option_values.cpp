#include "coordinator/option_values.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string_view>

namespace fp8cal {

double parse_tolerance(const std::string& option, const std::string& text) {
  constexpr std::string_view kPower = "2^";
  const bool is_power = text.starts_with(kPower);
  double number = 0;
  const char* end = text.data() + text.size();
  const char* start = text.data() + (is_power ? kPower.size() : 0);
  const auto [last, error] = std::from_chars(start, end, number);
  if (is_power) number = std::exp2(number);
  if (error == std::errc() && last == end && number >= 0 && std::isfinite(number)) return number;
  throw InputError(kCommandLine, "bad value of " + option,
                   "a number from 0 on, such as 0.01 or 2^-7", "'" + text + "'");
}

std::vector<std::string> split(const std::string& option, const std::string& list,
                               const std::string& what) {
  std::vector<std::string> items;
  std::istringstream stream(list);
  for (std::string item; std::getline(stream >> std::ws, item, ',');) {
    item.erase(item.find_last_not_of(" \t") + 1);
    const bool twice = std::find(items.begin(), items.end(), item) != items.end();
    if (item.empty() || twice) {
      throw InputError(kCommandLine, "bad value of " + option, what + ", each once",
                       "'" + list + "'");
    }
    items.push_back(item);
  }
  if (items.empty()) {
    throw InputError(kCommandLine, "bad value of " + option, what, "nothing");
  }
  return items;
}

std::vector<std::size_t> split_numbers(const std::string& option, const std::string& list,
                                       std::size_t max) {
  std::vector<std::size_t> numbers;
  for (const std::string& item : split(option, list, "numbers")) {
    const std::size_t number = parse_number(option, item, std::size_t{1}, max);
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end()) {
      throw InputError(kCommandLine, "bad value of " + option, "numbers, each once",
                       "'" + list + "'");
    }
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace fp8cal
