#pragma once

#include <fmt/format.h>

#include <charconv>
#include <cstddef>
#include <string>
#include <vector>

#include "jobs/error.hpp"

namespace fp8cal {

/// Where an error of an option lies.
inline constexpr const char* kCommandLine = "command line";

/// Values of options that are no job keys. Each throws InputError naming the option, what was
/// expected and the value.

template <class Number>
Number parse_number(const std::string& option, const std::string& text, Number min, Number max) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    throw InputError(kCommandLine, "bad value of " + option,
                     fmt::format("a whole number from {} to {}", min, max), "'" + text + "'");
  }
  return number;
}

/// A number from 0 on: "0.0078125", "1e-3" or, as a power of two, "2^-7".
double parse_tolerance(const std::string& option, const std::string& text);

/// As a job key's list: items between commas, each once. what: they are.
std::vector<std::string> split(const std::string& option, const std::string& list,
                               const std::string& what = "names");

/// Numbers from 1 to `max` between commas, each once.
std::vector<std::size_t> split_numbers(const std::string& option, const std::string& list,
                                       std::size_t max);

}  // namespace fp8cal
