#pragma once

#include "coordinator/report/latency_figures.hpp"
#include "coordinator/report/total_times.hpp"
#include "coordinator/status/text_table.hpp"

namespace fp8cal {

/// Tables of a latency profile for people, in the terminal and on the page alike.

/// What the device was measured to do at most.
TextTable ceiling_table(const LatencyProfile& profile);

/// A row a prompt, or a batch and context; a column a variant: median and 95th percentile in
/// milliseconds. Of the passes that keep keys and values in `kv`.
TextTable latency_table(const LatencyProfile& profile, bool decodes, const std::string& kv);

/// A row a variant and format of keys and values, a column a cause that takes time there: its share
/// of the time, and in parentheses how much of that it could not take less by the ceilings.
TextTable cause_table(const LatencyProfile& profile, const PassPoint& point);

/// A row a variant and format of keys and values: against BF16, over the length of the answer.
TextTable total_table(const TotalTimes& times);

TextTable unfit_table(const LatencyProfile& profile);
TextTable check_table(const LatencyProfile& profile);

/// Where the profile comes from. file: what to call it.
TextTable profile_facts(const LatencyProfile& profile, const std::string& file);

/// "12.3 ms", "1.25 s".
std::string time_text(double seconds);

}  // namespace fp8cal
