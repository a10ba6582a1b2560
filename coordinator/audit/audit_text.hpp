#pragma once

#include <string>

#include "coordinator/audit/comparison.hpp"
#include "coordinator/audit/verify.hpp"

namespace fp8cal {

/// What `fp8cal audit FILE --verify` prints.
std::string verification_text(const Verification& verification, const std::string& file);

/// What `fp8cal audit A B` prints.
std::string comparison_text(const Comparison& comparison, const std::string& a,
                            const std::string& b);

/// "/path where in it: value in the first file | value in the second", long values cut.
std::string text_of(const Difference& difference);

}  // namespace fp8cal
