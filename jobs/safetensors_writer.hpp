#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fp8cal {

/// A tensor of a file that is going to be written.
struct TensorLayout {
  std::string name;
  std::string dtype;  ///< as the format spells it: "BF16", "F8_E4M3", "F32"
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
};

/// Everything before the data of a safetensors file that holds `tensors` one after the other: the
/// 8-byte header length, and the JSON header padded with spaces so that the data begins at a
/// multiple of 8 (format: github.com/huggingface/safetensors).
std::string safetensors_prefix(const std::vector<TensorLayout>& tensors);

}  // namespace fp8cal
