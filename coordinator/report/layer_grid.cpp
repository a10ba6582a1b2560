#include "coordinator/report/layer_grid.hpp"

#include <algorithm>

#include "coordinator/report/tensor_place.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"
#include "jobs/recipe.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

LayerGrid grid_of_sites() {
  LayerGrid grid;
  for (const SiteName& site : kSiteNames) grid.columns.emplace_back(site.column);
  return grid;
}

LayerGrid grid_of_weights() { return {.columns = linear_modules()}; }

using Errors = std::map<std::string, QuantizationError>;

/// told: what need not be repeated.
SqnrFigure sqnr_of(const std::string& recipe, const Errors& tensors, bool weights,
                   const Errors& told) {
  SqnrFigure figure{{recipe}, weights, weights ? grid_of_weights() : grid_of_sites()};
  for (const auto& [name, error] : tensors) {
    const auto place = weights ? place_of_weight(name) : place_of_activation(name);
    const auto same = told.find(name);
    if (!place || error.elements == 0 || (same != told.end() && same->second == error)) continue;
    figure.grid.set(place->layer, place->column, sqnr_db(error));
  }
  return figure;
}

/// The diagnostics of the same recipe with keys and values in BF16; empty for that one itself.
Errors linear_errors(const Result& result, const std::string& recipe) {
  const std::string linear = recipe.substr(0, recipe.find(kKvMark));
  const auto found = result.diagnostics.find(linear);
  return linear == recipe || found == result.diagnostics.end() ? Errors{} : found->second;
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
      SqnrFigure own = sqnr_of(recipe, tensors, weights, linear_errors(result, recipe));
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
