#pragma once

#include <cstddef>
#include <cstdint>

namespace fp8cal {

/// The most rows of k that `multiply_tile` takes in one call, and the distance between rows of its
/// x: constant, so that the inner loop needs one address, and odd in cache lines, so that the rows
/// of a tile do not compete for the same cache sets.
inline constexpr std::size_t kTileDepth = 512;
inline constexpr std::size_t kTileStride = kTileDepth + 16;

/// Panels hold whole groups of this many rows of k.
inline constexpr std::size_t kDepthGroup = 32;

/// Where the probabilities of one row lie as the x of `multiply_tile`: key k at
/// first[(k / kTileDepth) * block_stride + k % kTileDepth].
struct TileRow {
  float* first = nullptr;
  std::size_t block_stride = 0;  // elements
};

/// The inner loops of the backend over contiguous arrays, compiled once for each instruction set.
/// All tables compute the same bits: every operation is an IEEE one in a stated order, products of
/// `multiply_tile` are fused (see there), and all other code is compiled without contraction.
/// bf16 numbers are their bits (u16).
struct VectorKernels {
  const char* name;
  std::size_t tile_rows;      // the most rows that multiply_tile takes
  std::size_t panel_columns;  // the width of a panel

  /// sums[r][c] = fma(x[r][k], panel[k][c], sums[r][c]) for k = 0, 1, ..., depth - 1.
  /// x [rows, depth] f32 at stride kTileStride, panel [depth, panel_columns] f32 on a cache line,
  /// sums [rows, panel_columns] f32 at stride sums_stride; 1 <= rows <= tile_rows,
  /// depth <= kTileDepth.
  void (*multiply_tile)(std::size_t rows, std::size_t depth, const float* x, const float* panel,
                        float* sums, std::size_t sums_stride);
  /// panel[k][c] = weight[c][k], zero beyond. weight [columns, depth] bf16,
  /// panel [depth rounded up to kDepthGroup, panel_columns] f32; columns <= panel_columns.
  void (*pack_transposed)(const std::uint16_t* weight, std::size_t stride, std::size_t columns,
                          std::size_t depth, float* panel);
  /// panel[k][c] = weight[k][c], zero in columns beyond. weight [depth, columns] bf16,
  /// panel [depth, panel_columns] f32; columns <= panel_columns.
  void (*pack)(const std::uint16_t* weight, std::size_t stride, std::size_t columns,
               std::size_t depth, float* panel);

  /// out[i] = f32 of x[i].
  void (*widen)(const std::uint16_t* x, std::size_t count, float* out);
  /// out[i] = bf16(x[i]).
  void (*narrow)(const float* x, std::size_t count, std::uint16_t* out);
  /// out[i] = bf16(x[i] * (row_scale * scales[i])).
  void (*narrow_scaled)(const float* x, float row_scale, const float* scales, std::size_t count,
                        std::uint16_t* out);

  /// residual[i] = bf16(residual[i] + delta[i]).
  void (*add)(std::uint16_t* residual, const std::uint16_t* delta, std::size_t count);
  /// out[i] = bf16(weight[i] * bf16(x[i] * (1 / sqrt(mean(x^2) + epsilon)))).
  void (*rms_norm)(const std::uint16_t* x, const std::uint16_t* weight, float epsilon,
                   std::size_t count, std::uint16_t* out);
  /// Rotates the pairs (x[i], x[i + half]) by the angle with that cosine and sine.
  void (*rotate)(std::uint16_t* x, const std::uint16_t* cosine, const std::uint16_t* sine,
                 std::size_t half);
  /// out[i] = bf16(bf16(silu(gate[i])) * up[i]).
  void (*silu_multiply)(const std::uint16_t* gate, const std::uint16_t* up, std::size_t count,
                        std::uint16_t* out);

  /// out = softmax(scale * scores) rounded to bf16, as f32. `scores` is overwritten and has room
  /// for `count` rounded up to 16.
  void (*softmax)(float* scores, std::size_t count, float scale, TileRow out);
  /// The largest of x, NaN left out; -infinity where there is none.
  float (*maximum)(const std::uint16_t* x, std::size_t count);
  /// The sum of exp(x[i] - maximum).
  float (*sum_of_exp)(const std::uint16_t* x, std::size_t count, float maximum);
  /// The sum of exp(p[i] - maximum) * (p[i] - q[i]), where a weight of zero gives zero.
  float (*sum_of_weighted)(const std::uint16_t* p, const std::uint16_t* q, std::size_t count,
                           float maximum);

  /// out[i] = fp8(clamp(x[i] / scale)).
  void (*quantize_e4m3)(const std::uint16_t* x, float scale, std::size_t count, std::uint8_t* out);
  void (*quantize_e5m2)(const std::uint16_t* x, float scale, std::size_t count, std::uint8_t* out);
  /// out[i] = bf16 of the code x[i], exactly.
  void (*decode_e4m3)(const std::uint8_t* x, std::size_t count, std::uint16_t* out);
  void (*decode_e5m2)(const std::uint8_t* x, std::size_t count, std::uint16_t* out);
  /// out[i] = bf16(x[i] * scale), NaN and infinite codes as they are.
  void (*dequantize_e4m3)(const std::uint8_t* x, float scale, std::size_t count,
                          std::uint16_t* out);
  void (*dequantize_e5m2)(const std::uint8_t* x, float scale, std::size_t count,
                          std::uint16_t* out);
  /// The largest low 15 bits.
  std::uint16_t (*magnitude)(const std::uint16_t* x, std::size_t count);
  /// Raises maxima[i] to the low 15 bits of x[i], and returns the largest of these.
  std::uint16_t (*raise_magnitudes)(const std::uint16_t* x, std::size_t count,
                                    std::uint16_t* maxima);
};

}  // namespace fp8cal
