#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fp8cal {

/// Values of job keys. Each throws InputError naming the key, what was expected and the value.

/// A whole number. alternative: what else the key takes, such as "auto or ".
std::uint64_t parse_number(const std::string& key, const std::string& text, std::uint64_t min,
                           std::uint64_t max, const std::string& alternative = "");

/// A size such as 80GiB, in bytes.
std::uint64_t parse_bytes(const std::string& key, const std::string& text);

/// `text`, which must be one of `choices`.
std::string parse_choice(const std::string& key, const std::string& text,
                         const std::vector<std::string>& choices);

/// A number from 0 on; none for "none".
std::optional<double> parse_limit(const std::string& key, const std::string& text);

std::chrono::duration<double> parse_seconds(const std::string& key, const std::string& text,
                                            double min);

void refuse_duplicates(const std::string& key, std::vector<std::string> values);

}  // namespace fp8cal
