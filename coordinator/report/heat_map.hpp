#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/report/layer_grid.hpp"
#include "coordinator/report/plot.hpp"

namespace fp8cal {

/// Magnitudes that cells are shaded by, on a logarithmic scale.
struct ShadeRange {
  double low = 0;
  double high = 0;
};

/// Of what is finite and above zero in all grids.
ShadeRange shade_range(const std::vector<const LayerGrid*>& grids);

/// The layers of `grid` in as few pictures of about as many rows as kMostRows allows; every cell
/// holds its number. text: of the first picture; the others get numbers.
inline constexpr std::size_t kMostRows = 27;
Markup heat_maps(const ChartText& text, const LayerGrid& grid, const ShadeRange& range);

/// Which shade is which magnitude.
Markup shade_legend(const ChartText& text, const ShadeRange& range);

}  // namespace fp8cal
