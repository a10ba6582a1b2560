#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fp8cal {

/// What `fp8cal profile` was asked for, but for the keys of jobs. An empty list: its default.
struct ProfileOptions {
  std::string scales = {};                       ///< --scales RESULT; empty: made up
  std::vector<std::string> variants = {};        ///< --variants
  std::vector<std::string> kv = {};              ///< --kv
  std::vector<std::size_t> prompts = {};         ///< --prompts, tokens
  std::vector<std::size_t> decode_batches = {};  ///< --decode-batches, sequences
  std::vector<std::size_t> contexts = {};        ///< --contexts, tokens
};

}  // namespace fp8cal
