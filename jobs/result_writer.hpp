#pragma once

#include <filesystem>
#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// Writes the result file that docs/result-file.md describes, atomically, and reads it back: the
/// digest of what lies on disk must be the digest of what was built. Gives the content digest.
/// Throws std::invalid_argument where the parts of `result` do not fit together, Error where the
/// file cannot be written.
std::string write_result(const Result& result, const std::filesystem::path& path);

/// The content digest that write_result would give, without a file. Throws as it does.
std::string content_digest_of(const Result& result);

}  // namespace fp8cal
