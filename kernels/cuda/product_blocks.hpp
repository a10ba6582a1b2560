#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace fp8cal {

/// [0, total) in runs that start at multiples of 16 and differ by 16 at most, but for the last: a
/// run of very few rows might take a kernel of another kind. Cut as seldom as `longest`, at least
/// 16, allows.
class EvenRuns {
 public:
  static constexpr std::size_t kUnit = 16;

  struct Run {
    std::size_t first, count;
  };

  EvenRuns(std::size_t total, std::size_t longest)
      : total_(total), units_((total + kUnit - 1) / kUnit) {
    const std::size_t units_a_run = longest / kUnit;
    count_ = (units_ + units_a_run - 1) / units_a_run;
  }

  std::size_t count() const { return count_; }
  Run operator[](std::size_t i) const {
    const std::size_t first = start(i);
    return {first, start(i + 1) - first};
  }
  std::size_t longest() const {
    const std::size_t units_a_run = count_ == 0 ? 0 : (units_ + count_ - 1) / count_;
    return std::min(total_, units_a_run * kUnit);
  }

 private:
  std::size_t start(std::size_t i) const { return std::min(total_, units_ * i / count_ * kUnit); }

  std::size_t total_, units_;
  std::size_t count_;
};

/// How a product x [rows, depth] by weight [columns, depth] is cut so that blocks of both operands
/// in BF16 and their sums in f32 fit in scratch memory.
struct ProductBlocks {
  static constexpr std::size_t kMostColumns = 1024;

  EvenRuns rows, columns;
  std::size_t stride;       ///< elements between the rows of an operand's block
  std::size_t sums_stride;  ///< elements between the rows of a block of sums
  std::size_t weight_at;    ///< bytes from the scratch's start; x is there
  std::size_t sums_at;      ///< bytes
  std::size_t bytes;        ///< of all three, at most what was asked for

  /// Throws std::invalid_argument where not even the smallest blocks fit in `bytes`.
  static ProductBlocks within(std::size_t bytes, std::size_t rows, std::size_t columns,
                              std::size_t depth);
};

inline ProductBlocks ProductBlocks::within(std::size_t bytes, std::size_t rows, std::size_t columns,
                                           std::size_t depth) {
  constexpr std::size_t kAlignment = 256;  // bytes; cuBLASLt knows of no larger one
  const auto padded = [](std::size_t value, std::size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
  };
  const auto in_units = [](std::size_t count) { return count / EvenRuns::kUnit * EvenRuns::kUnit; };
  const std::size_t stride = padded(depth, 8);  // rows at multiples of 16 bytes
  const std::size_t row_bytes = stride * 2;
  const std::size_t most_columns = in_units(std::min(bytes / 4 / row_bytes, kMostColumns));
  const EvenRuns across(columns, std::max(most_columns, EvenRuns::kUnit));
  const std::size_t sums_stride = padded(across.longest(), 8);
  const std::size_t weight_bytes = padded(across.longest() * row_bytes, kAlignment) + kAlignment;
  const std::size_t left = bytes - std::min(bytes, weight_bytes);
  const std::size_t most_rows = in_units(left / (row_bytes + sums_stride * 4));
  if (most_rows == 0) {
    throw std::invalid_argument("multiply_scaled: K: expected 16 rows and columns of it in " +
                                std::to_string(bytes) + " bytes, found " + std::to_string(depth));
  }
  const EvenRuns down(rows, most_rows);
  const std::size_t weight_at = padded(down.longest() * row_bytes, kAlignment);
  const std::size_t sums_at = weight_at + padded(across.longest() * row_bytes, kAlignment);
  return {.rows = down,
          .columns = across,
          .stride = stride,
          .sums_stride = sums_stride,
          .weight_at = weight_at,
          .sums_at = sums_at,
          .bytes = sums_at + down.longest() * sums_stride * 4};
}

}  // namespace fp8cal
