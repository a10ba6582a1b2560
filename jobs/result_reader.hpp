#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "jobs/error.hpp"
#include "jobs/hdf5.hpp"
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
/// hold beyond the first version of the format. /profile is passed over: jobs/profile_file.hpp
/// reads it.
///
/// Of an observed tensor under several names, the key of `activations` is the q_proj or gate_proj
/// among them, as these read the input before their neighbours, or else the first in byte order;
/// the others become aliases.
///
/// Throws InputError in one line for a path that is missing, no result file of version 1, damaged
/// or changed after it was written, and for anything that no calibration of a Llama model gives.
StoredResult read_result(const std::filesystem::path& path);

/// What read_result does, in parts, for who wants to know all that is wrong with a file.

/// Throws InputError where an open HDF5 file is no result of version 1, Error where HDF5 cannot
/// read what says so.
void require_result_format(const hdf5::Handle& file);

/// The digest that the file carries. Throws InputError or Error where it has none.
std::string stored_content_digest(const hdf5::Handle& file);

struct ResultParts {
  Result result;                     ///< without the parts that have a problem
  std::vector<InputError> problems;  ///< the first of each part; none: `result` is whole
  std::vector<InputError>
      profile_problems;  ///< the first of /profile, which is no part of `result`
};

/// Reads and checks everything but the digest. file: `path`, open, of
/// the right format.
ResultParts read_result_parts(const hdf5::Handle& file, const std::filesystem::path& path);

}  // namespace fp8cal
