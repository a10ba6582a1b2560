#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs/content_digest.hpp"
#include "jobs/hdf5.hpp"

namespace fp8cal {

/// The table in /provenance by which damage to a result file is named: for each object of the
/// digested part its SHA-256 (docs/result-file.md).
inline constexpr const char* kObjectNames = "object_names";
inline constexpr const char* kObjectDigests = "object_sha256";

/// provenance: the open group.
void write_object_table(const hdf5::Handle& provenance, const std::vector<ObjectDigest>& objects);

struct ObjectTable {
  std::vector<std::string> paths;
  std::vector<std::string> sha256;  ///< as many, hexadecimal
};

/// None where the file is from before there were such tables. Throws InputError or Error for one
/// that is no table.
std::optional<ObjectTable> read_object_table(const hdf5::Handle& file);

}  // namespace fp8cal
