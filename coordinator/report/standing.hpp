#pragma once

#include <string>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// What a result says of how far its verdict may be trusted.
struct Standing {
  std::vector<std::string> obstacles;  ///< why it must not be reported; none: nothing is known to
                                       ///< speak against it
  std::vector<std::string>
      warnings;  ///< that were given as it was made, and what else qualifies it
};

Standing standing_of(const Result& result);

}  // namespace fp8cal
