#include "coordinator/submission/slurm_time.hpp"

#include <vector>

#include "coordinator/submission/text_checks.hpp"

namespace fp8cal {
namespace {

constexpr std::uint64_t kMaxSeconds = std::uint64_t{3653} * 86400;

/// The numbers between colons; empty where there are none, or more than three.
std::vector<std::uint64_t> parts_of(std::string_view text) {
  std::vector<std::uint64_t> parts;
  for (std::size_t at = 0; parts.size() < 3;) {
    const std::size_t colon = text.find(':', at);
    const auto number = parse_whole(text.substr(at, colon - at), 0, kMaxSeconds);
    if (!number) return {};
    parts.push_back(*number);
    if (colon == std::string_view::npos) return parts;
    at = colon + 1;
  }
  return {};
}

}  // namespace

std::optional<std::uint64_t> parse_slurm_time(const std::string& text) {
  const std::size_t dash = text.find('-');
  const bool has_days = dash != std::string::npos;
  const std::vector<std::uint64_t> parts = parts_of(has_days ? text.substr(dash + 1) : text);
  if (parts.empty()) return std::nullopt;
  std::uint64_t seconds = 0;
  // The first number is hours after days or before two others, else minutes.
  std::uint64_t unit = has_days || parts.size() == 3 ? 3600 : 60;
  for (const std::uint64_t part : parts) {
    seconds += part * unit;
    unit /= 60;
  }
  if (has_days) {
    const auto days = parse_whole(text.substr(0, dash), 0, kMaxSeconds);
    if (!days) return std::nullopt;
    seconds += *days * 86400;
  }
  if (seconds == 0 || seconds > kMaxSeconds) return std::nullopt;
  return seconds;
}

}  // namespace fp8cal
