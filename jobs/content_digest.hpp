#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "jobs/hdf5.hpp"

namespace fp8cal {

/// SHA-256 (64 hexadecimal digits) over everything in an open result file outside /provenance and
/// /profile and the root's attribute content_digest, serialised as docs/result-file.md says under
/// "The content digest". Hard links count under every name. Throws InputError for what that
/// serialisation does not cover (soft and external links, other types, elements in other files) and
/// for more objects, levels or bytes than a result file can need.
std::string content_digest(const hdf5::Handle& file);

/// One object of the digested part, under one of its names.
struct ObjectDigest {
  std::string path;
  std::string sha256;  ///< of its piece of the serialisation alone; empty where it has a problem
  std::size_t first_name = 0;  ///< index of the first entry that is the same object, by hard links
  std::string problem;         ///< why it cannot be read, in one line; else empty
};

struct ContentDigests {
  std::string content;                ///< content_digest(file); empty where an object has a problem
  std::vector<ObjectDigest> objects;  ///< in byte order of the paths
};

/// The content digest and that of each object, in one pass over the file. Objects that cannot be
/// read are told of one by one; throws InputError for more of them than 64, and for the sizes that
/// content_digest refuses.
ContentDigests content_digests(const hdf5::Handle& file);

}  // namespace fp8cal
