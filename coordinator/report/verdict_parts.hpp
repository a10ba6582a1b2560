#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/report/axis.hpp"
#include "coordinator/report/markup.hpp"
#include "coordinator/report/standing.hpp"

namespace fp8cal {

/// What a recipe costs.
struct VerdictCard {
  std::string heading;
  std::optional<double> difference;  ///< of perplexity, FP8 minus BF16; none: not compared
  std::string interval;              ///< a line
  std::string measured;              ///< sentences
};

/// The verdict in words, and where it stands among all bands.
Markup verdict_card(const VerdictCard& card);

/// Lines below a heading.
Markup note_of(std::string_view heading, const std::vector<std::string>& lines);

/// Whether the verdict may be reported, and what qualifies it. prefix: before the heading.
Markup standing_note(const std::string& prefix, const Standing& standing);

/// Where verdicts change, as guides of a chart of differences.
std::vector<Tick> verdict_limits();

}  // namespace fp8cal
