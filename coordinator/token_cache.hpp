#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "jobs/dataset.hpp"
#include "jobs/tokenizer.hpp"

namespace fp8cal {

enum class StreamKind { calibration, evaluation };

/// The calibration_stream or evaluation_stream of a dataset of documents, from `folder`
/// (runtime.token_cache) where it is kept there; else it is tokenized and then kept. What is
/// damaged is warned of and replaced; a folder that cannot be written is warned of too. The folder
/// is made where it is missing. Several jobs may use it at once.
///
/// A stream is a file `tokens-<first 32 digits of its key>.u32tokens`:
///   16 bytes      "fp8cal tokens 1\n"
///   32 bytes      the key: SHA-256 of all that determines the ids, the documents, the kind of
///                 stream, the tokenizer and the program that splits the text
///    8 bytes      number of ids, u64
///   32 bytes      SHA-256 of the ids
///    4 bytes each the ids, u32; all numbers little-endian
std::vector<std::uint32_t> cached_stream(const std::filesystem::path& folder,
                                         const Dataset& dataset, StreamKind kind,
                                         const Tokenizer& tokenizer);

}  // namespace fp8cal
