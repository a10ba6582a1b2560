#pragma once

#include "jobs/bounded_group.hpp"
#include "jobs/hdf5.hpp"
#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// /profile in an HDF5 file (docs/result-file.md).
inline constexpr const char* kProfile = "profile";

/// Writes it below `root`, which has none. Checks nothing: who reads it does.
void write_profile_group(const hdf5::Handle& root, const LatencyProfile& profile);

/// Reads it from an untrusted file. Throws InputError where it is absent, or anything else than
/// write_profile_group writes of a profile that was measured: other objects, types and shapes;
/// times that are not above zero; numbers that are not finite or below zero; a percentile below the
/// median; unknown phases, causes and formats; a pass twice.
LatencyProfile read_profile_group(const BoundedGroup& root);

}  // namespace fp8cal
