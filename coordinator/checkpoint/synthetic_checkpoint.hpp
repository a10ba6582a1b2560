#pragma once

#include <cstdint>
#include <filesystem>

#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// A random checkpoint to make.
struct SyntheticCheckpoint {
  std::filesystem::path config;  ///< a config.json: the shape
  std::uint64_t seed = 0;
  std::filesystem::path folder;  ///< made anew
};

/// Writes it: one safetensors file a layer, one each for the embeddings and the head, config.json,
/// and the index last. Ranks write files in parallel, each with `threads` threads; the bytes depend
/// on the shape and the seed alone. Weights are near-normal with a standard deviation of 0.02,
/// less where they feed the residual sum; norms are 1 but for a few channels that are 32, so that
/// there are outliers to find. Throws AgreedError. Collective.
void write_synthetic_checkpoint(const SyntheticCheckpoint& request, int threads,
                                const Control& control, ProgressListener& progress);

}  // namespace fp8cal
