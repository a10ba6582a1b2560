#pragma once

#include <filesystem>
#include <string>

#include "jobs/result.hpp"

namespace fp8cal {

/// What a result file holds, and its content digest.
struct StoredResult {
  Result result;
  std::string digest;
};

/// Reads a result file (docs/result-file.md): writing what it gives again gives the same digest.
/// The digest is verified first. As that proves that nothing changed, not that an honest program
/// wrote it, everything is then bounded and checked: the memory that it takes, names, types,
/// shapes, that numbers are finite and counts add up, and that what is stored twice agrees.
/// /diagnostics, /activations, /weights, /scales and /perplexity may be absent, and what they may
/// hold beyond the first version of the format. /profile is passed over.
///
/// Of an observed tensor under several names, the key of `activations` is the q_proj or gate_proj
/// among them, as these read the input before their neighbours, or else the first in byte order;
/// the others become aliases.
///
/// Throws InputError in one line for a path that is missing, no result file of version 1, damaged
/// or changed after it was written, and for anything that no calibration of a Llama model gives.
StoredResult read_result(const std::filesystem::path& path);

}  // namespace fp8cal
