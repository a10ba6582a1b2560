#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fp8cal {

/// What `fp8cal profile` is to measure: each variant with each format of keys and values, for
/// prompts, and for decoding batches at contexts.
struct ProfileRequest {
  std::string model;                  ///< folder of the checkpoint
  std::string scales;                 ///< result file; empty: they are made up
  std::vector<std::string> variants;  ///< "bf16", or recipes that say nothing of keys and values
  std::vector<std::string> kv;        ///< "bf16", "e4m3" or "e5m2"
  std::vector<std::size_t> prompts;   ///< tokens
  std::vector<std::size_t> decode_batches;  ///< sequences
  std::vector<std::size_t> contexts;        ///< tokens of each sequence of a batch
  std::string backend;                      ///< "auto", "cpu" or "cuda"
  std::uint64_t device_memory = 0;          ///< bytes for one rank; 0: what the device has
  int threads = 0;                          ///< of a rank on the host; 0: its share of the cores
};

}  // namespace fp8cal
