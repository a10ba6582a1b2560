#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace fp8cal {

/// The operands of a matrix product: dtype and scales. FP8 is E4M3.
enum class ProductKind : std::uint8_t {
  bf16,
  fp8_scalar,   ///< one scale for x, one for weight
  fp8_channel,  ///< one scale for x, one a row of weight
  fp8_vector,   ///< one scale a row of x, one a row of weight
};

/// Products [rows, depth] x [columns, depth] that a job computes in `slices` slices of columns.
struct ProductShape {
  std::size_t columns = 0;  ///< N, a multiple of slices
  std::size_t depth = 0;    ///< K
  std::size_t slices = 1;
  std::vector<ProductKind> kinds;
};

enum class Slicing : std::uint8_t { columns, rows };

/// An element whose bits depend on how its product was sliced.
struct GemmDifference {
  ProductShape shape;
  ProductKind kind = ProductKind::bf16;
  Slicing slicing = Slicing::columns;
  std::size_t row = 0, column = 0;
  float whole = 0.0f;
  float sliced = 0.0f;

  /// One line: shape, kind, slicing, element, both values.
  std::string to_string() const;
};

/// Multiplies pseudo-random operands of every shape and kind whole, in column slices, and in row
/// slices of a half, a quarter, and so on of `rows` (of 16 or more, but for the last), and compares
/// all bits. Returns the first difference. Sums in another order differ by about 1e-6, which moves
/// one bf16 result in some thousands: a shape is told apart by its 10^5 elements or more. Holds the
/// largest weight in BF16 and FP8 in device memory meanwhile. Throws std::invalid_argument where a
/// shape's columns cannot be cut evenly.
std::optional<GemmDifference> find_gemm_difference(Backend& backend,
                                                   std::span<const ProductShape> shapes,
                                                   std::size_t rows);

}  // namespace fp8cal
