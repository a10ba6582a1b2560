#pragma once

#include <string>

#include "coordinator/audit/comparison.hpp"
#include "coordinator/audit/verify.hpp"

namespace fp8cal {

/// The same as the texts of audit_text.hpp say, as one JSON object (docs/audit.md).
std::string verification_json(const Verification& verification, const std::string& file);
std::string comparison_json(const Comparison& comparison, const std::string& a,
                            const std::string& b);

}  // namespace fp8cal
