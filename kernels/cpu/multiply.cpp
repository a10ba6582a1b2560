#include "kernels/cpu/multiply.hpp"

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/checks.hpp"
#include "kernels/cpu/aligned_array.hpp"

namespace fp8cal {
namespace {

// A block's weights of one step in k fill half a megabyte, and its sums at most one: both stay in
// a second-level cache of 2 MiB.
constexpr std::size_t kColumnBlock = 256;
constexpr std::size_t kRowBlock = 1008;  // whole tiles of every instruction set

/// Products that take about a nanosecond.
constexpr std::size_t kProductsPerNanosecond = 50;

struct Scratch {
  AlignedArray<float> panels;        // [panels][kTileDepth][panel_columns]
  AlignedArray<float> tile;          // [tile_rows] at kTileStride
  AlignedArray<float> sums;          // [rows][panels * panel_columns]
  AlignedArray<std::uint16_t> rows;  // [panel_columns][kTileDepth], decoded from FP8
};

struct Range {
  std::size_t first = 0;
  std::size_t count = 0;
};

/// Takes the finished sums of one row's columns [first, first + count).
using StoreRow = std::function<void(std::size_t row, Range columns, const float* sums)>;

/// One product: x [M, K] bf16, weight [N, K] bf16 or FP8.
struct Product {
  const VectorKernels& kernels;
  ConstMatrix x;
  ConstMatrix weight;
  const StoreRow& store;
  Scales weight_scale = {};  // of FP8 weights taken as bf16(code * scale); none: as the codes are
};

auto decoder(const VectorKernels& kernels, DType dtype) {
  return dtype == DType::e4m3 ? kernels.decode_e4m3 : kernels.decode_e5m2;
}

/// out[i] = the bf16 number that the FP8 weight [row][k + i] is multiplied as.
void read_weight(const Product& product, std::size_t row, std::size_t k, std::size_t depth,
                 std::uint16_t* out) {
  const VectorKernels& kernels = product.kernels;
  const std::uint8_t* codes = product.weight.row<std::uint8_t>(row) + k;
  const Scales& scale = product.weight_scale;
  if (scale.data == nullptr) {
    decoder(kernels, product.weight.dtype)(codes, depth, out);
    return;
  }
  const auto dequantize =
      product.weight.dtype == DType::e4m3 ? kernels.dequantize_e4m3 : kernels.dequantize_e5m2;
  dequantize(codes, scale.data[scale.count == 1 ? 0 : row], depth, out);
}

/// Packs weight rows `columns` from k on as panels of kTileDepth rows each.
void pack_panels(const Product& product, Range columns, std::size_t k, std::size_t depth,
                 Scratch& scratch) {
  const VectorKernels& kernels = product.kernels;
  const std::size_t width = kernels.panel_columns;
  float* panel = scratch.panels.at_least(round_up(columns.count, width) * kTileDepth);
  for (std::size_t c = 0; c < columns.count; c += width, panel += width * kTileDepth) {
    const std::size_t first = columns.first + c;
    const std::size_t count = std::min(width, columns.count - c);
    if (product.weight.dtype == DType::bf16) {
      kernels.pack_transposed(product.weight.row<std::uint16_t>(first) + k, product.weight.stride,
                              count, depth, panel);
      continue;
    }
    std::uint16_t* rows = scratch.rows.at_least(width * kTileDepth);
    for (std::size_t i = 0; i < count; ++i) {
      read_weight(product, first + i, k, depth, rows + i * kTileDepth);
    }
    kernels.pack_transposed(rows, kTileDepth, count, depth, panel);
  }
}

void multiply_block(const Product& product, Range rows, Range columns) {
  thread_local Scratch scratch;
  const VectorKernels& kernels = product.kernels;
  const std::size_t width = kernels.panel_columns;
  const std::size_t stride = round_up(columns.count, width);
  float* sums = scratch.sums.at_least(rows.count * stride);
  float* tile = scratch.tile.at_least(kernels.tile_rows * kTileStride);
  std::fill_n(sums, rows.count * stride, 0.0f);
  for (std::size_t k = 0; k < product.x.cols; k += kTileDepth) {
    const std::size_t depth = std::min(kTileDepth, product.x.cols - k);
    pack_panels(product, columns, k, depth, scratch);
    const float* panels = scratch.panels.at_least(0);
    for (std::size_t r = 0; r < rows.count; r += kernels.tile_rows) {
      const std::size_t height = std::min(kernels.tile_rows, rows.count - r);
      for (std::size_t i = 0; i < height; ++i) {
        kernels.widen(product.x.row<std::uint16_t>(rows.first + r + i) + k, depth,
                      tile + i * kTileStride);
      }
      for (std::size_t c = 0; c < stride; c += width) {
        kernels.multiply_tile(height, depth, tile, panels + c * kTileDepth, sums + r * stride + c,
                              stride);
      }
    }
  }
  for (std::size_t r = 0; r < rows.count; ++r) {
    product.store(rows.first + r, columns, sums + r * stride);
  }
}

/// Cuts the output into blocks, enough of them for all threads.
void multiply_blocks(const CpuContext& context, ConstMatrix x, ConstMatrix weight,
                     const StoreRow& store, Scales weight_scale = {}) {
  const Product product{context.kernels, x, weight, store, weight_scale};
  const std::size_t threads = context.pool.threads();
  std::size_t width = kColumnBlock;
  std::size_t height = kRowBlock;
  if (threads > 1) {
    const std::size_t share = divide_up(weight.rows, 2 * threads);
    width = std::clamp(round_up(share, context.kernels.panel_columns),
                       context.kernels.panel_columns, kColumnBlock);
  }
  const std::size_t across = divide_up(weight.rows, width);
  if (across < threads) {
    const std::size_t share = divide_up(x.rows * across, threads);
    height = std::clamp(round_up(share, context.kernels.tile_rows), context.kernels.tile_rows,
                        kRowBlock);
  }
  const std::size_t down = divide_up(x.rows, height);
  const std::size_t work = std::min(width, weight.rows) * std::min(height, x.rows) * x.cols;
  context.pool.parallel_for(across * down, work / kProductsPerNanosecond, [&](std::size_t i) {
    const std::size_t row = i / across * height;
    const std::size_t column = i % across * width;
    multiply_block(product, {row, std::min(height, x.rows - row)},
                   {column, std::min(width, weight.rows - column)});
  });
}

}  // namespace

void cpu_multiply(const CpuContext& context, ConstMatrix x, ConstMatrix weight, Matrix out) {
  expect_matrix("multiply: x", x, x.rows, x.cols);
  expect_matrix("multiply: weight", weight, weight.rows, x.cols);
  expect_matrix("multiply: out", out, x.rows, weight.rows);
  multiply_blocks(context, x, weight, [&](std::size_t row, Range columns, const float* sums) {
    context.kernels.narrow(sums, columns.count, out.row<std::uint16_t>(row) + columns.first);
  });
}

void cpu_multiply_scaled(const CpuContext& context, ConstMatrix x, Scales x_scale,
                         ConstMatrix weight, Scales weight_scale, Matrix out) {
  expect_fp8("multiply_scaled: x", x, x.rows, x.cols);
  expect_fp8("multiply_scaled: weight", weight, weight.rows, x.cols);
  expect_matrix("multiply_scaled: out", out, x.rows, weight.rows);
  expect_scales("multiply_scaled: x_scale", x_scale, x.rows);
  expect_scales("multiply_scaled: weight_scale", weight_scale, weight.rows);

  AlignedArray<std::uint16_t> decoded;
  const Matrix wide = Matrix::dense(decoded.at_least(x.rows * x.cols), DType::bf16, x.rows, x.cols);
  context.pool.parallel_ranges(x.rows, x.cols, [&](std::size_t first, std::size_t last) {
    const auto decode = decoder(context.kernels, x.dtype);
    for (std::size_t r = first; r < last; ++r) {
      decode(x.row<std::uint8_t>(r), x.cols, wide.row<std::uint16_t>(r));
    }
  });
  std::vector<float> scales(weight.rows);
  for (std::size_t n = 0; n < scales.size(); ++n) {
    scales[n] = weight_scale.data[weight_scale.count == 1 ? 0 : n];
  }
  multiply_blocks(context, wide, weight, [&](std::size_t row, Range columns, const float* sums) {
    const float row_scale = x_scale.data[x_scale.count == 1 ? 0 : row];
    context.kernels.narrow_scaled(sums, row_scale, scales.data() + columns.first, columns.count,
                                  out.row<std::uint16_t>(row) + columns.first);
  });
}

void cpu_multiply_few(const CpuContext& context, ConstMatrix x, Scales x_scale, ConstMatrix weight,
                      Scales weight_scale, Matrix out) {
  expect_at_most("multiply_few: rows of x", x.rows, kFewRows);
  if (weight.dtype == DType::bf16) return cpu_multiply(context, x, weight, out);
  expect_matrix("multiply_few: weight", weight, weight.rows, x.cols, DType::e4m3);
  if (x.dtype != DType::bf16) {
    expect_matrix("multiply_few: x", x, x.rows, x.cols, DType::e4m3);
    return cpu_multiply_scaled(context, x, x_scale, weight, weight_scale, out);
  }
  expect_matrix("multiply_few: x", x, x.rows, x.cols);
  expect_matrix("multiply_few: out", out, x.rows, weight.rows);
  expect_scales("multiply_few: weight_scale", weight_scale, weight.rows);
  multiply_blocks(
      context, x, weight,
      [&](std::size_t row, Range columns, const float* sums) {
        context.kernels.narrow(sums, columns.count, out.row<std::uint16_t>(row) + columns.first);
      },
      weight_scale);
}

}  // namespace fp8cal
