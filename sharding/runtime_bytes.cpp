#include "sharding/runtime_bytes.hpp"

#include "kernels/backend.hpp"

namespace fp8cal {

/// Measured on an H200 with CUDA 13.0, cuBLASLt 13.1 and NCCL 2.28; docs/benchmarks.md.
std::uint64_t runtime_bytes(const Grid& grid, const Device& device) {
  if (!device.is_gpu) return 0;
  constexpr std::uint64_t kMebibyte = 1 << 20;
  constexpr std::uint64_t kContext = 650 * kMebibyte;
  constexpr std::uint64_t kGroup = 750 * kMebibyte;
  const bool pipeline = grid.layers > 1;
  const bool slices = grid.tensor > 1;
  const bool stage = grid.sequences > 1;
  return kContext + kGroup * static_cast<std::uint64_t>(pipeline + slices + stage) +
         (device.dequantizes ? kDequantizedBytes : 0);
}

}  // namespace fp8cal
