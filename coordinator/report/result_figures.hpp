#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/audit/comparison.hpp"
#include "coordinator/recipe_figures.hpp"
#include "coordinator/report/convergence_figure.hpp"
#include "coordinator/report/facts.hpp"
#include "coordinator/report/kv_figure.hpp"
#include "coordinator/report/latency_figures.hpp"
#include "coordinator/report/layer_grid.hpp"
#include "coordinator/report/standing.hpp"
#include "coordinator/report/tensor_distribution.hpp"
#include "coordinator/report/timeline_figure.hpp"
#include "coordinator/scales/outliers.hpp"

namespace fp8cal {

/// The numbers of every chart and table about one result. Where a part is empty, the result does
/// not hold what it needs.
struct ResultFigures {
  std::string file;
  std::string digest;
  Standing standing;
  std::optional<double> bf16;  ///< its perplexity
  std::vector<RecipeFigures> recipes;
  LayerGrid amax;
  std::vector<OutlierChannel> outliers;  ///< the largest
  std::vector<std::string> advice;       ///< against them
  std::vector<TensorDistribution> distributions;
  std::vector<ConvergenceFigure> convergence;
  std::string convergence_line;  ///< describe_convergence
  KvFigure kv;
  std::vector<SqnrFigure> sqnr;
  TimelineFigure timeline;
  std::optional<LatencyFigures> latency = {};  ///< read_latency of the file
  Facts facts;
};

/// file: what to call it. Without the latencies, which are no part of the result.
ResultFigures figures_of(const StoredResult& stored, const std::string& file);

/// Some results, and how all but the first differ from the first.
struct ReportFigures {
  std::vector<ResultFigures> results;
  std::vector<Comparison> comparisons;  ///< [results - 1]
};

/// Reads a file with read_result, and its latencies. Throws InputError as both do.
ResultFigures read_figures(const std::string& file);

/// Reads files as read_figures does, one after another.
ReportFigures read_report(const std::vector<std::string>& files);

/// What to call result `index` of several: "A", "B", ...
std::string result_letter(std::size_t index);

}  // namespace fp8cal
