#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "coordinator/status/text_table.hpp"

namespace fp8cal {

/// Characters that a line of a table may have.
inline constexpr std::size_t kTableWidth = 100;

/// As aligned_text, but columns that would go beyond kTableWidth follow below, each time with the
/// first column beside them. Every row must have as many cells as the header.
std::string folded_text(const TextTable& table);

/// Four digits or so of milliseconds: "0.123", "12.35", "16384".
std::string ms_text(double seconds);

/// "12.3 %"; "-" for none.
std::string share_text(std::optional<double> share);

/// "1.62 x"; "-" for none.
std::string gain_text(std::optional<double> gain);

/// "1 sequence", "8 sequences".
std::string sequences_text(std::size_t sequences);

}  // namespace fp8cal
