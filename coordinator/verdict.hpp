#pragma once

#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// What a perplexity difference (FP8 minus BF16) of this size means, in a few words. Bands by size:
/// 0.05, 0.1, 0.3, 1.0. Never "lossless".
std::string verdict(double difference);

/// The same for a result with this /job; "expected; not reportable: ..." where it is none to
/// report.
std::string verdict(double difference, const Attributes& job);

}  // namespace fp8cal
