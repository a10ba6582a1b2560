#pragma once

#include <cstddef>
#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// How much a result holds, and whether its figures may be reported.
struct Contents {
  std::size_t calibration_windows = 0;
  std::size_t evaluation_windows = 0;
  std::size_t tokens = 0;  ///< of both
  std::size_t layers = 0;
  std::size_t distributions = 0;  ///< observed tensors
  std::size_t weights = 0;
  std::size_t recipes = 0;
  std::size_t scales = 0;       ///< datasets, each of one scale or of many
  std::size_t diagnostics = 0;  ///< tensors, over all recipes
  std::size_t variants = 0;     ///< perplexities
  std::string objection;        ///< what not_reportable() says of its /job
};

Contents contents_of(const Result& result);

/// "1152 tokens in 8 + 5 windows, 4 layers, 24 distributions, ...".
std::string text_of(const Contents& contents);

}  // namespace fp8cal
