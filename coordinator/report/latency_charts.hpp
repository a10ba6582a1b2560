#pragma once

#include <string>

#include "coordinator/report/latency_figures.hpp"
#include "coordinator/report/markup.hpp"

namespace fp8cal {

/// How the charts of one profile are told from those of another on the page.
struct ChartNames {
  std::string prefix;     ///< of titles
  std::size_t index = 0;  ///< of ids
};

/// Time to first token over the length of the prompt, a chart a format of keys and values; nothing
/// where none was measured.
Markup first_token_charts(const LatencyProfile& profile, const ChartNames& names);

/// Time per output token over what each sequence has already, a chart a batch and format of keys
/// and values.
Markup output_token_charts(const LatencyProfile& profile, const ChartNames& names);

/// What the time goes to at the middle prompt, and at the middle point of decoding.
Markup cause_charts(const LatencyProfile& profile, const ChartNames& names);

/// Total time over the length of the answer, with where a line crosses that of BF16.
Markup total_charts(const LatencyProfile& profile, const ChartNames& names);

}  // namespace fp8cal
