#pragma once

#include <filesystem>

#include "coordinator/audit/contents.hpp"
#include "coordinator/audit/finding.hpp"
#include "coordinator/audit/object_check.hpp"

namespace fp8cal {

/// What recomputing a result file found.
struct Verification {
  ObjectCheck objects;
  Contents contents;             ///< of what could be read
  bool numbers_checked = false;  ///< whether what follows from the rest was computed again
  Findings findings;
};

/// Hashes every object of the result file, reads it, and recomputes what follows from the rest, on
/// `threads` threads. Damage and inconsistencies become findings. Throws InputError for a path that
/// is missing, or no result file of version 1.
Verification verify(const std::filesystem::path& path, int threads);

/// Whether the file begins as an HDF5 file does, so that one that cannot be opened is damaged.
bool begins_as_hdf5(const std::filesystem::path& path);

}  // namespace fp8cal
