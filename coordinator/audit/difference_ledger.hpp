#pragma once

#include <span>
#include <string>

#include "coordinator/audit/comparison.hpp"

namespace fp8cal {

/// Writes the differences into a Comparison as they are found, in the order of data flow.
class DifferenceLedger {
 public:
  explicit DifferenceLedger(Comparison& comparison) : comparison_(comparison) {}

  void count(Kind kind) { ++summary(kind).compared; }

  /// beyond: it is more than is tolerated.
  void add(Kind kind, Difference difference, bool beyond);

  /// A part that one file alone has; never tolerated.
  void add_missing(Kind kind, const std::string& object, bool only_in_a);

  /// Counts an array of floats and adds it where a bit differs: by its element with the most BF16
  /// steps. element: what it is called, such as "channel".
  void compare_floats(Kind kind, const std::string& object, const char* element,
                      std::span<const float> a, std::span<const float> b);

  const Tolerances& tolerances() const { return comparison_.tolerances; }

 private:
  KindSummary& summary(Kind kind) { return comparison_.kinds[static_cast<std::size_t>(kind)]; }
  bool tolerated(Kind kind, double relative) const;

  Comparison& comparison_;
};

}  // namespace fp8cal
