#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fp8cal {

class Tokenizer;

/// A dataset as a job names it. The end of `path` tells its kind:
///   .jsonl .json                     JSON Lines, see read_json_lines
///   FILE.h5:/DATASET FILE.hdf5:...   token ids: an HDF5 dataset of any shape and integer type,
///                                    flattened in row-major order
///   .u32 .tokens                     token ids: raw little-endian u32
///   anything else                    plain UTF-8 text, one document
struct DatasetSpec {
  std::string path;
  std::vector<std::string> fields = {"text"};  ///< of JSON Lines; other kinds have none
};

/// Documents, or token ids that are taken as they are.
struct Dataset {
  std::string path;  ///< as in the DatasetSpec, for messages
  bool tokenized = false;
  std::vector<std::string> documents;  ///< valid UTF-8; empty where tokenized
  std::vector<std::uint32_t> tokens;   ///< empty where not tokenized
};

/// Throws InputError (or Error with exit code 2) naming the path where it cannot be read, holds
/// nothing, is not of its kind, or is beyond 16 GiB (2^28 ids in HDF5).
Dataset read_dataset(const DatasetSpec& spec);

/// What calibration windows are cut from: every document that is not empty with a BOS before it,
/// end to end. Throws InputError where documents meet no tokenizer (nullptr).
std::vector<std::uint32_t> calibration_stream(const Dataset& dataset, const Tokenizer* tokenizer);

/// What perplexity is measured on: one BOS, then all documents as one text, joined by a blank line
/// ("\n\n"). Throws as calibration_stream does.
std::vector<std::uint32_t> evaluation_stream(const Dataset& dataset, const Tokenizer* tokenizer);

/// Throws InputError naming `where`, the position and the id of the first that is not below
/// `vocabulary_size`.
void check_token_ids(std::span<const std::uint32_t> tokens, std::size_t vocabulary_size,
                     const std::string& where);

}  // namespace fp8cal
