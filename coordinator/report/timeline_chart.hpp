#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "coordinator/report/plot.hpp"
#include "coordinator/report/timeline_figure.hpp"

namespace fp8cal {

inline constexpr std::size_t kMostRanksDrawn = 16;

/// A row a rank, of the first kMostRanksDrawn. stages: those of all charts beside this one, each
/// with a pattern. seconds: where the axis ends, likewise. The figure has spans.
Markup timeline_chart(const ChartText& text, const TimelineFigure& figure,
                      const std::vector<std::string>& stages, double seconds);

/// Which pattern is which stage; of very many, the first.
Markup stage_legend(const std::vector<std::string>& stages);

}  // namespace fp8cal
