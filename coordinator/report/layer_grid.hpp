#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// A number for each layer and column, where there is one.
struct LayerGrid {
  std::vector<std::string> columns;
  std::map<std::size_t, std::vector<std::optional<double>>> rows = {};  ///< layer -> [columns]

  bool empty() const { return rows.empty(); }
  void set(std::size_t layer, std::size_t column, double value);
};

/// The largest magnitude of each observed tensor; columns: the sites.
LayerGrid amax_by_layer(const Result& result);

/// Signal to quantization noise, in dB, infinite where nothing is lost.
struct SqnrFigure {
  std::vector<std::string> recipes;  ///< for which all of it is the same
  bool weights = false;              ///< else inputs that have a static scale
  LayerGrid grid;
};

/// Inputs first. A recipe with FP8 keys and values tells only of what it does not share with the
/// one without. None of a result without diagnostics.
std::vector<SqnrFigure> sqnr_by_layer(const Result& result);

}  // namespace fp8cal
