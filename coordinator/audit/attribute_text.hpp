#pragma once

#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// An attribute of an untrusted file as part of one line: no control characters, cut at 200 bytes;
/// "none" where it is absent. Of a list, what repeats stands once with a count.
std::string attribute_text(const Attributes& attributes, const std::string& key);

}  // namespace fp8cal
