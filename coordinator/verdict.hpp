#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// What perplexity differences of some size mean.
struct VerdictBand {
  double limit;       ///< where the band ends
  const char* range;  ///< for people
  const char* words;
};
inline constexpr std::array<VerdictBand, 4> kVerdictBands = {
    {{0.05, "< 0.05", "within run-to-run variation"},
     {0.1, "\u2264 0.1", "within the variance envelope"},
     {0.3, "\u2264 0.3", "expected"},
     {1.0, "\u2264 1", "ambiguous: run downstream benchmarks"}}};
inline constexpr VerdictBand kVerdictBeyond = {0, "> 1", "broken scales or an unsuitable format"};

/// The index of the band of a perplexity difference (FP8 minus BF16) by its size; that of
/// kVerdictBeyond follows the others.
std::size_t verdict_band(double difference);

/// What a perplexity difference (FP8 minus BF16) of this size means, in a few words. Never
/// "lossless".
std::string verdict(double difference);

/// The same for a result with this /job; "expected; not reportable: ..." where it is none to
/// report.
std::string verdict(double difference, const Attributes& job);

}  // namespace fp8cal
