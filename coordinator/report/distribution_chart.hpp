#pragma once

#include <string>
#include <string_view>

#include "coordinator/report/plot.hpp"
#include "coordinator/report/tensor_distribution.hpp"

namespace fp8cal {

/// How many elements have which magnitude, both logarithmic, with what a scale keeps of them: bars
/// beyond its largest number and below its smallest are drawn in patterns. range: one of the
/// tensor's, or null where it has none. page.js draws the same.
Markup distribution_chart(const ChartText& text, const TensorDistribution& tensor,
                          const ScaledRange* range);

/// What a scale does to the tensor, in a sentence or two. range: as above.
std::string range_sentence(const TensorDistribution& tensor, const ScaledRange* range);

/// "E4M3, fp8-static, fp8-channel": which scale that is.
std::string range_name(const ScaledRange& range);

}  // namespace fp8cal
