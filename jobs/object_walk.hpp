#pragma once

#include <string>
#include <vector>

#include "jobs/hdf5.hpp"

namespace fp8cal {

/// Sizes that no result file needs, for readers of hostile ones. A 70B result has about 10,000
/// objects on 4 levels, and 200 MB.
inline constexpr std::size_t kMaxObjectNames = std::size_t{1} << 20;
inline constexpr std::size_t kMaxArrayBytes = std::size_t{1} << 30;

/// One name of an object in the digested part of a result file.
struct WalkedObject {
  std::string path;
  std::size_t first_name = 0;  ///< index of the first entry that is the same object, by hard links
  std::string problem;         ///< why it cannot be opened, in one line; else empty
};

/// The root and every path below it, outside /provenance and /profile, in byte order. An object
/// that cannot be opened has a problem, and what it holds is missing. Throws InputError for more
/// names or levels than a result file can need.
std::vector<WalkedObject> walk_objects(const hdf5::Handle& file);

}  // namespace fp8cal
