#include "coordinator/report/percentage.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fp8cal {

std::string percentage(std::uint64_t part, std::uint64_t whole) {
  if (part == 0) return "0 %";
  const double share =
      100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(1, whole));
  return share >= 0.001 ? fmt::format("{:.3f} %", share) : fmt::format("{:.1e} %", share);
}

}  // namespace fp8cal
