#pragma once

#include "jobs/result.hpp"

namespace fp8cal {

/// Throws std::invalid_argument naming the part where sizes do not fit together, a name cannot
/// stand in a file, or an alias has no target.
void validate(const Result& result);

}  // namespace fp8cal
