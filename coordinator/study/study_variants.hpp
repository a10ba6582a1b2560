#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/study/study.hpp"
#include "coordinator/study/study_statistics.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// Which evaluations serve which cells. Two cells that give a recipe equal scales share one: so do
/// recipes without static scales, whatever they were calibrated on, and an amax that more samples
/// do not raise.
class StudyVariants {
 public:
  /// Before any scale is known: recipes without static scales are alike for all cells.
  /// missing: the cells that are to be evaluated.
  StudyVariants(const Study& study, const std::vector<std::size_t>& missing);

  /// Now all layers of all ranks are known: variants with equal scales become one. Collective.
  void join_equal(const Study& study, const StudyStatistics& statistics, std::size_t kv_heads,
                  const Control& control);

  /// The variant's name for a cell and one of its recipes: "fp8-static", "fp8-static 7".
  const std::string& of(std::size_t cell, const std::string& recipe) const {
    return names_.at({cell, recipe});
  }
  /// How many evaluations there are, beside that of BF16.
  std::size_t count() const;

 private:
  std::map<std::pair<std::size_t, std::string>, std::string> names_;  // by cell and recipe
};

}  // namespace fp8cal
