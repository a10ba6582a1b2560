#pragma once

#include <string>
#include <vector>

#include "coordinator/profile/profile_answer.hpp"

namespace fp8cal {

/// The answer in sentences, for a page: the fastest setting of each prompt and of each batch, the
/// least output from which FP8 wins for the smallest batch, and what scaling costs.
std::vector<std::string> answer_sentences(const LatencyProfile& profile,
                                          const ProfileAnswer& answer);

}  // namespace fp8cal
