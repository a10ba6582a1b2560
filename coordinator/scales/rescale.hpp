#pragma once

#include <string>
#include <vector>

#include "jobs/result_reader.hpp"

namespace fp8cal {

/// `parent` with the scales and diagnostics that `policy` gives for `recipes` (none: its own),
/// derived from its exact distributions alone, on `threads` threads, and its digest under
/// /job/parent_digest. Perplexities stay where the scales that they were measured with do. Throws
/// InputError naming `where` for a result without distributions.
Result rescale(StoredResult parent, const std::string& policy, std::vector<std::string> recipes,
               int threads, const std::string& where);

}  // namespace fp8cal
