#include "coordinator/report/convergence_figure.hpp"

#include <algorithm>
#include <map>

#include "coordinator/report/tensor_place.hpp"

namespace fp8cal {
namespace {

using SharesBySequences = std::map<std::uint32_t, std::vector<double>>;

ConvergencePoint point_of(std::uint32_t sequences, std::vector<double> shares) {
  std::ranges::sort(shares);
  const std::size_t middle = shares.size() / 2;
  const double median =
      shares.size() % 2 == 1 ? shares[middle] : (shares[middle - 1] + shares[middle]) / 2;
  return {sequences, median, shares.front()};
}

}  // namespace

std::vector<ConvergenceFigure> convergence_by_column(const Result& result) {
  std::map<std::size_t, SharesBySequences> columns;
  for (const auto& [module, tensor] : result.activations) {
    const auto place = place_of_activation(module);
    const double amax = amax_of_histogram(tensor.histogram);
    if (!place || tensor.snapshots.empty() || amax == 0) continue;
    for (const AmaxSnapshot& one : tensor.snapshots) {
      columns[place->column][one.sequences].push_back(static_cast<double>(one.amax) / amax);
    }
  }
  std::vector<ConvergenceFigure> figures;
  for (const auto& [column, shares] : columns) {
    ConvergenceFigure figure{.column = column, .points = {}};
    for (const auto& [sequences, list] : shares) figure.points.push_back(point_of(sequences, list));
    const auto all = static_cast<std::uint32_t>(result.sample_ids.size());
    if (figure.points.back().sequences < all) figure.points.push_back({.sequences = all});
    figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace fp8cal
