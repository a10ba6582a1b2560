#pragma once

#include <cstddef>
#include <cstdint>

namespace fp8cal {

enum class DType : std::uint8_t { bf16, e4m3, e5m2, f32 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return 2;
    case DType::e4m3:
    case DType::e5m2:
      return 1;
    case DType::f32:
      return 4;
  }
  return 0;
}

/// A borrowed, read-only, row-major matrix in device memory. `stride`: elements from one row to the
/// next, at least `cols`.
struct ConstMatrix {
  const void* data = nullptr;
  DType dtype = DType::bf16;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;

  template <class T>
  const T* row(std::size_t r) const {
    return static_cast<const T*>(data) + r * stride;
  }

  ConstMatrix row_range(std::size_t first, std::size_t count) const {
    return {static_cast<const std::byte*>(data) + first * stride * size_of(dtype), dtype, count,
            cols, stride};
  }
};

/// The same, writable.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::bf16;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;

  /// A matrix without gaps between its rows.
  static Matrix dense(void* data, DType dtype, std::size_t rows, std::size_t cols) {
    return {data, dtype, rows, cols, cols};
  }

  operator ConstMatrix() const { return {data, dtype, rows, cols, stride}; }

  template <class T>
  T* row(std::size_t r) const {
    return static_cast<T*>(data) + r * stride;
  }

  Matrix row_range(std::size_t first, std::size_t count) const {
    return {static_cast<std::byte*>(data) + first * stride * size_of(dtype), dtype, count, cols,
            stride};
  }
  Matrix column_range(std::size_t first, std::size_t count) const {
    return {static_cast<std::byte*>(data) + first * size_of(dtype), dtype, rows, count, stride};
  }
};

}  // namespace fp8cal
