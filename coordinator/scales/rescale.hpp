#pragma once

#include <string>
#include <vector>

#include "jobs/result_reader.hpp"
#include "jobs/scale_policy.hpp"

namespace fp8cal {

/// What follows from exact distributions alone, as Result keeps it; no diagnostics of weights.
struct DerivedScales {
  decltype(Result::scales) scales;
  decltype(Result::diagnostics) diagnostics;
};

/// The scales and diagnostics that `policy` gives for `recipes`, on `threads` threads. Throws
/// InputError naming `where` for a result without the distributions of every layer of its model.
DerivedScales derive_from_result(const Result& result, const ScalePolicy& policy,
                                 const std::vector<std::string>& recipes, int threads,
                                 const std::string& where);

/// `parent` with the scales and diagnostics that `policy` gives for `recipes` (none: its own),
/// derived from its exact distributions alone, on `threads` threads, and its digest under
/// /job/parent_digest. Perplexities stay where the scales that they were measured with do. Throws
/// InputError naming `where` for a result without distributions.
Result rescale(StoredResult parent, const std::string& policy, std::vector<std::string> recipes,
               int threads, const std::string& where);

}  // namespace fp8cal
