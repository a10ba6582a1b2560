#pragma once

#include <string>

#include "coordinator/profile/profile_answer.hpp"

namespace fp8cal {

/// "always", "from 12", "up to 200", "never"; "-" where it is not known.
std::string crossover_text(const Crossover& crossover);

/// What `fp8cal profile` answers, for a terminal: which setting is fastest at what, from how many
/// output tokens on each beats BF16, what scaling costs, and what was not measured.
std::string answer_text(const LatencyProfile& profile, const ProfileAnswer& answer);

}  // namespace fp8cal
