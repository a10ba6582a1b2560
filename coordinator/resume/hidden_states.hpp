#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "jobs/packing.hpp"
#include "jobs/sha256.hpp"
#include "sharding/range.hpp"

namespace fp8cal {

/// A file of hidden states (bf16) beside the saved progress: what a pass ended with after the
/// layers that are done, one sequence after another.
struct HiddenFile {
  std::string name;
  std::string pass;
  Ranges sequences;
  std::vector<Sha256Digest> digests;  ///< of each sequence
};

/// Bytes as of jobs/packing.hpp, and back. Throws Error where a name is none of a file in the same
/// folder, or sequences and digests are not equally many.
std::string pack_hidden_file(const HiddenFile& file);
HiddenFile unpack_hidden_file(Unpacker& from);

/// states [sequences, ...]. Throws Error where it cannot be written; then there is no such file.
HiddenFile write_hidden(const std::filesystem::path& folder, const std::string& name,
                        const std::string& pass, const Ranges& sequences,
                        std::span<const std::uint16_t> states);

/// Those of `sequences` in a pass, wherever among `files` they are; `elements` of each. Throws
/// Error where some are in none, cut short or changed.
std::vector<std::uint16_t> read_hidden(const std::filesystem::path& folder,
                                       const std::vector<HiddenFile>& files,
                                       const std::string& pass, const Ranges& sequences,
                                       std::size_t elements);

}  // namespace fp8cal
