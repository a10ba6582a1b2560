#pragma once

#include <array>
#include <vector>

#include "coordinator/audit/difference_ledger.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// The steps of compare(), in the order of data flow.
void compare_job(const Result& a, const Result& b, DifferenceLedger& ledger);
void compare_tokens(const Result& a, const Result& b, DifferenceLedger& ledger);
void compare_weights(const Result& a, const Result& b, DifferenceLedger& ledger);
void compare_activations(const Result& a, const Result& b, DifferenceLedger& ledger);
void compare_scales(const Result& a, const Result& b, DifferenceLedger& ledger);
void compare_diagnostics(const Result& a, const Result& b, DifferenceLedger& ledger);
void compare_perplexity(const Result& a, const Result& b, DifferenceLedger& ledger);

/// The keys of /job that tell of the arithmetic.
inline constexpr std::array<const char*, 2> kNumericsKeys = {"numerics", "fp8_products"};

/// How the runs differ.
std::vector<RunDifference> compare_runs(const Result& a, const Result& b);

}  // namespace fp8cal
