#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "jobs/quantization_config.hpp"
#include "jobs/result.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

struct ExportRequest {
  std::filesystem::path model;  ///< folder of the checkpoint that the result was made from
  std::filesystem::path out;    ///< folder, made where it is not there
  CheckpointFormat format = CheckpointFormat::compressed_tensors;
  std::string recipe;                                     ///< one that the result has scales of
  bool force = false;                                     ///< replace what is in `out`
  std::uint64_t bytes_per_file = std::uint64_t{2} << 30;  ///< of tensors, where a layer has no more
};

/// Writes an FP8 checkpoint: the weights quantized by the result's scales of one recipe, in files
/// of about 2 GiB, config.json, the model's tokenizer, a README.md, and the index last. Ranks write
/// files in parallel, each with `threads` threads; the bytes depend on the model, the result and
/// the version of the program alone. `result` and `digest`, its content digest, are read on rank 0
/// only.
///
/// Nothing takes its name before all weights were read and are those that the result was made
/// from. A crash at any moment leaves a folder without an index, or the whole checkpoint; a failure
/// leaves no new file. Throws AgreedError; where the request makes no sense, before anything is
/// written. Collective.
void export_checkpoint(const ExportRequest& request, const Result& result,
                       const std::string& digest, int threads, const Control& control,
                       ProgressListener& progress);

}  // namespace fp8cal
