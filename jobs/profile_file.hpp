#pragma once

#include <filesystem>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// Writes a file that holds a profile alone.
void write_profile_file(const std::filesystem::path& path, const LatencyProfile& profile);

/// Writes the result at `result` with the profile to `destination`, which may be the same.
void add_profile(const std::filesystem::path& result, const std::filesystem::path& destination,
                 const LatencyProfile& profile);

}  // namespace fp8cal
