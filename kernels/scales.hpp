#pragma once

#include <cstddef>

namespace fp8cal {

/// Scale factors of an FP8 matrix, in device memory, one or many.
struct Scales {
  const float* data = nullptr;  // [count] f32
  std::size_t count = 0;        // 1: for the whole tensor; rows: one a row
};

}  // namespace fp8cal
