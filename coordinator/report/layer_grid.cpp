#include "coordinator/report/layer_grid.hpp"

#include <algorithm>

#include "coordinator/report/tensor_place.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

LayerGrid grid_of_sites() {
  LayerGrid grid;
  for (const SiteName& site : kSiteNames) grid.columns.emplace_back(site.column);
  return grid;
}

LayerGrid grid_of_weights() { return {.columns = linear_modules()}; }

SqnrFigure sqnr_of(const std::string& recipe,
                   const std::map<std::string, QuantizationError>& tensors, bool weights) {
  SqnrFigure figure{{recipe}, weights, weights ? grid_of_weights() : grid_of_sites()};
  for (const auto& [name, error] : tensors) {
    const auto place = weights ? place_of_weight(name) : place_of_activation(name);
    if (place && error.elements > 0) figure.grid.set(place->layer, place->column, sqnr_db(error));
  }
  return figure;
}

}  // namespace

void LayerGrid::set(std::size_t layer, std::size_t column, double value) {
  rows.try_emplace(layer, columns.size()).first->second.at(column) = value;
}

LayerGrid amax_by_layer(const Result& result) {
  LayerGrid grid = grid_of_sites();
  for (const auto& [module, tensor] : result.activations) {
    const auto place = place_of_activation(module);
    if (place) grid.set(place->layer, place->column, amax_of_histogram(tensor.histogram));
  }
  return grid;
}

std::vector<SqnrFigure> sqnr_by_layer(const Result& result) {
  std::vector<SqnrFigure> figures;
  for (const bool weights : {false, true}) {
    for (const auto& [recipe, tensors] : result.diagnostics) {
      SqnrFigure own = sqnr_of(recipe, tensors, weights);
      if (own.grid.empty()) continue;
      const auto same = std::ranges::find_if(figures, [&](const SqnrFigure& other) {
        return other.weights == weights && other.grid.rows == own.grid.rows;
      });
      if (same == figures.end()) {
        figures.push_back(std::move(own));
      } else {
        same->recipes.push_back(recipe);
      }
    }
  }
  return figures;
}

}  // namespace fp8cal
