#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/bootstrap.hpp"
#include "coordinator/study/study.hpp"

namespace fp8cal {

/// How one recipe of a cell compares with BF16.
struct StudyFigure {
  std::size_t cell = 0;  ///< of Study::cells
  std::string dataset;
  std::uint64_t seed = 0;
  std::size_t samples = 0;
  std::string policy;
  std::string recipe;     ///< with its kind of keys and values
  double bf16 = 0;        ///< perplexity
  double perplexity = 0;  ///< of the recipe
  WindowSums sums;        ///< of BF16 and of the recipe

  double difference() const { return perplexity - bf16; }
};

/// What a study's results say.
struct StudyFigures {
  std::vector<std::string> digests;     ///< [cells], of the results
  std::vector<std::string> objections;  ///< [cells]: what not_reportable() says of each
  std::vector<StudyFigure> all;         ///< by cell, then recipe
};

/// Reads the results of all cells. Throws as read_result does, and where one lacks a perplexity.
StudyFigures read_figures(const Study& study);

}  // namespace fp8cal
