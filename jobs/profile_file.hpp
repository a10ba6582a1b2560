#pragma once

#include <filesystem>
#include <optional>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// Writes a profile without a result, atomically, and reads it back (docs/result-file.md). Throws
/// InputError where the profile holds what nothing measures (jobs/profile_group.hpp), Error where
/// the file cannot be written.
void write_profile_file(const std::filesystem::path& path, const LatencyProfile& profile);

/// Writes the result file `result` with `profile`, in the place of one that it may have, as
/// `destination`, which may be the same path: atomically, read back, with the same content digest.
/// Throws as write_profile_file, and as read_result of `result`.
void add_profile(const std::filesystem::path& result, const std::filesystem::path& destination,
                 const LatencyProfile& profile);

/// The profile of a result file, none where it has none, or of a file of its own. Of a result only
/// /profile is read: its digest does not cover it. Throws InputError in one line for a path that is
/// missing, neither of the two, or a profile that is broken.
std::optional<LatencyProfile> read_profile(const std::filesystem::path& path);

/// Whether the file says that it is a profile without a result; false where it cannot be read.
bool is_profile_file(const std::filesystem::path& path);

}  // namespace fp8cal
