#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/tensor_core.cuh"
#include "kernels/scales.hpp"

// A product with few rows is a walk over the weight: its time is that of reading it. So each warp
// keeps many 16-byte copies under way into a ring of its own in shared memory, from where a thread
// reads the weight that it has copied itself: no warp waits for another. The weight is the larger
// operand of the tensor cores, 16 output columns at a time. A thread's 16 bytes are neighbours
// along k, not what a fragment's registers stand for: but a sum over k does not care which k stands
// where, as long as x is permuted alike.

namespace fp8cal {

inline constexpr int kWarps = 8;       // of a block; they take turns along k
inline constexpr int kStepBytes = 64;  // of a weight's row, that a warp multiplies at a time
inline constexpr int kStride = kWarps * kStepBytes;
inline constexpr int kPieceBytes = 512;         // 16 of each lane
inline constexpr int kRingsBytes = 216 << 10;   // of shared memory, of a multiprocessor's blocks
inline constexpr int kLongWalk = 16 * kStride;  // bytes of a weight's row
inline constexpr int kTileColumns = 16;         // output columns of a fragment
inline constexpr int kTileRows = 8;             // rows of x of a fragment

/// From a row's length on to whole steps.
__host__ __device__ constexpr int whole_steps(int bytes) {
  return (bytes + kStepBytes - 1) / kStepBytes * kStepBytes;
}

/// How the operands meet.
enum class Meeting { bf16, e4m3, mixed };  // mixed: x bf16, weight e4m3

struct FewRowsProduct {
  const std::uint8_t* x;
  const std::uint8_t* weight;
  std::uint16_t* out;   // bf16
  std::uint8_t* codes;  // e4m3, instead of out; null: out
  const float* code_scale;
  std::size_t x_stride, weight_stride;   // bytes
  std::size_t out_stride, codes_stride;  // elements
  int rows, columns;                     // of the result
  int row_bytes;                         // of the weight
  Scales x_scale, weight_scale;
};

/// Starts copying 16 bytes that no other warp reads; zeros where not `exists`.
__device__ __forceinline__ void copy_once(unsigned shared, const std::uint8_t* from, bool exists) {
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(from),
               "r"(exists ? 16 : 0)
               : "memory");
}

/// The same through the L1 cache, for what other warps read too.
__device__ __forceinline__ void copy_often(unsigned shared, const std::uint8_t* from, bool exists) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(from),
               "r"(exists ? 16 : 0)
               : "memory");
}

/// The four e4m3 of a word as bf16, exactly. By way of f32: to move their bits into place takes
/// more instructions, and made decoding 4 % slower.
__device__ __forceinline__ void widen(std::uint32_t codes, std::uint32_t& lower,
                                      std::uint32_t& higher) {
  __half2 halves[2];
  widen_to_f16(codes, halves);
  const float2 low = __half22float2(halves[0]), high = __half22float2(halves[1]);
  lower = pack(low.x, low.y);
  higher = pack(high.x, high.y);
}

/// How a block goes about it: its fragments, for up to x_rows rows of x; how many blocks share a
/// multiprocessor; and whether the weight is a gate's and below it that of what it gates: then each
/// fragment has eight columns of both. long_walk: along k. quantizes: x is one row of bf16, which
/// each block quantizes as a whole before it walks.
template <Meeting meeting_, int column_tiles_, int x_rows, int blocks, bool gated_,
          bool long_walk = false, bool quantizes_ = false>
struct Plan {
  static constexpr Meeting meeting = meeting_;
  static constexpr bool quantizes = quantizes_;
  static constexpr bool gated = gated_;
  static constexpr int column_tiles = column_tiles_;
  static constexpr int row_tiles = (x_rows + kTileRows - 1) / kTileRows;
  static constexpr int kRows = kTileRows * row_tiles;
  static constexpr int kParts = gated ? 2 : 1;
  static constexpr int kTileResults = kTileColumns / kParts;  // columns of the result
  static constexpr int kColumns = kTileResults * column_tiles;
  static constexpr int kXLoads = meeting == Meeting::mixed ? 2 : 1;
  static constexpr int kXPieceBytes = x_rows == 1 ? kStepBytes : kPieceBytes;
  static constexpr int kWeightBytes = 2 * column_tiles * kPieceBytes;  // of a stage
  static constexpr int kStageBytes =
      kWeightBytes + (quantizes ? 0 : row_tiles * kXLoads * kXPieceBytes);
  // Of a ring. x waits behind the weights that were asked for before it, so more of them are no
  // help where a walk is short: the best of 4 to 12 for FP8 weights of the 8B shape on an H200.
  static constexpr int kMostStages = x_rows > 1 || meeting == Meeting::bf16 ? 12
                                     : meeting == Meeting::mixed            ? 4
                                     : long_walk                            ? 8
                                     : blocks == 2                          ? 6
                                                                            : 5;
  static constexpr int kSharedBytes = kRingsBytes / blocks;
  static constexpr int kStages = std::clamp(kSharedBytes / (kWarps * kStageBytes), 3, kMostStages);
  static constexpr int kWarpBytes = kStages * kStageBytes;
  // For a row that is quantized: room for its codes, and packs of it that a thread holds.
  static constexpr int kCodeBytes = kSharedBytes - kWarps * kWarpBytes;
  static constexpr int kHeldPacks = blocks == 4 ? 4 : 8;

  using Sums = float[column_tiles][row_tiles][4];
  /// Where the warps' sums meet.
  using Shares = float[kRows][kTileColumns * column_tiles + 4];

  /// The row of the weight that part `part` of column `column` of the result comes from.
  __device__ static int weight_row(const FewRowsProduct& p, int column, int part) {
    return min(column, p.columns - 1) + part * p.columns;
  }
  /// Where a fragment has it.
  __device__ static int share_column(int column, int part) {
    return column / kTileResults * kTileColumns + column % kTileResults + part * kTileResults;
  }
};

/// What a thread holds of one step: of the weight's rows lane / 4 and 8 more, and of x.
template <class P>
struct Step {
  uint4 weight[P::column_tiles][2];
  uint4 x[P::row_tiles][P::kXLoads];
};

__device__ __forceinline__ std::uint32_t word(const uint4& value, int i) {
  return i == 0 ? value.x : i == 1 ? value.y : i == 2 ? value.z : value.w;
}

template <class P>
__device__ __forceinline__ void multiply_step(const Step<P>& step, typename P::Sums& sums) {
  constexpr Meeting meeting = P::meeting;
#pragma unroll
  for (int n = 0; n < P::column_tiles; ++n) {
    const uint4& low = step.weight[n][0];
    const uint4& high = step.weight[n][1];
    if constexpr (meeting == Meeting::mixed) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        std::uint32_t a[4];
        widen(word(low, i), a[0], a[2]);
        widen(word(high, i), a[1], a[3]);
#pragma unroll
        for (int m = 0; m < P::row_tiles; ++m) {
          const uint4& x = step.x[m][i / 2];
          multiply_add(sums[n][m], a, word(x, i % 2 * 2), word(x, i % 2 * 2 + 1));
        }
      }
    } else {
#pragma unroll
      for (int m = 0; m < P::row_tiles; ++m) {
        // FP8 tensor cores keep fewer bits of long sums: theirs are short, and added up outside.
        float part[4] = {};
        float(&into)[4] = meeting == Meeting::e4m3 ? part : sums[n][m];
#pragma unroll
        for (int i = 0; i < 4; i += 2) {
          const std::uint32_t a[4] = {word(low, i), word(high, i), word(low, i + 1),
                                      word(high, i + 1)};
          const std::uint32_t b0 = word(step.x[m][0], i), b1 = word(step.x[m][0], i + 1);
          if constexpr (meeting == Meeting::bf16) {
            multiply_add(into, a, b0, b1);
          } else {
            multiply_add_e4m3(into, a, b0, b1);
          }
        }
        if constexpr (meeting == Meeting::e4m3) {
#pragma unroll
          for (int i = 0; i < 4; ++i) sums[n][m][i] += part[i];
        }
      }
    }
  }
}

/// What one warp copies and in which order: its steps along k, of all its columns and rows.
template <class P>
class Walk {
 public:
  __device__ Walk(const FewRowsProduct& p, int first_column, unsigned char* shared_memory)
      : row_bytes_(p.row_bytes), first_(static_cast<int>(threadIdx.x) / 32 * kStepBytes) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    chunk_ = lane % 4 * 16;
    ring_ = shared_memory + threadIdx.x / 32 * P::kWarpBytes;
    lane_ = lane * 16;
#pragma unroll
    for (int i = 0; i < 2 * P::column_tiles; ++i) {
      const int at = 8 * i + lane / 4;  // of the fragments' columns
      const int part = P::gated ? i % 2 : 0;
      const int column = first_column + (P::gated ? at / 16 * 8 + at % 8 : at);
      weight_[i] = p.weight + P::weight_row(p, column, part) * p.weight_stride + chunk_;
    }
#pragma unroll
    for (int m = 0; m < P::row_tiles; ++m) {
      // Rows that there are not take the last one's place, and nobody reads their results.
      const int row = min(kTileRows * m + lane / 4, p.rows - 1);
      x_[m] = p.x + row * p.x_stride + chunk_ * kXBytes;
      copies_x_[m] = row == kTileRows * m + lane / 4;
      x_at_[m] = max(row - kTileRows * m, 0) * kStepBytes + chunk_;
    }
  }

  __device__ int steps() const { return (row_bytes_ - first_ + kStride - 1) / kStride; }

  /// Starts copying step i, if there is one; a group is closed by who calls.
  __device__ __forceinline__ void copy_weight(int i) const {
    const int at = first_ + i * kStride;
    if (at >= row_bytes_) return;
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(stage(i))) + lane_;
#pragma unroll
    for (int n = 0; n < 2 * P::column_tiles; ++n, to += kPieceBytes) {
      copy_once(to, weight_[n] + at, at + chunk_ < row_bytes_);
    }
  }
  __device__ __forceinline__ void copy_x(int i) const {
    const int at = first_ + i * kStride;
    if (at >= row_bytes_) return;
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(stage(i))) + P::kWeightBytes;
#pragma unroll
    for (int m = 0; m < P::row_tiles; ++m) {
#pragma unroll
      for (int part = 0; part < P::kXLoads; ++part, to += P::kXPieceBytes) {
        if (!copies_x_[m]) continue;
        copy_often(to + x_at_[m], x_[m] + at * kXBytes + 16 * part, at + chunk_ < row_bytes_);
      }
    }
  }

  __device__ __forceinline__ Step<P> read(int i) const {
    const unsigned char* from = stage(i);
    Step<P> step;
    read_weight(from, step);
#pragma unroll
    for (int m = 0; m < P::row_tiles; ++m) {
#pragma unroll
      for (int part = 0; part < P::kXLoads; ++part, from += P::kXPieceBytes) {
        step.x[m][part] = load(from + x_at_[m]);
      }
    }
    return step;
  }

  /// The same with x from the codes of its one row.
  __device__ __forceinline__ Step<P> read(int i, const unsigned char* codes) const {
    const unsigned char* from = stage(i);
    Step<P> step;
    read_weight(from, step);
    step.x[0][0] = load(codes + first_ + i * kStride + chunk_);
    return step;
  }

 private:
  static constexpr int kXBytes = P::meeting == Meeting::mixed ? 2 : 1;  // for each of the weight's

  __device__ unsigned char* stage(int i) const { return ring_ + i % P::kStages * P::kStageBytes; }

  __device__ static uint4 load(const unsigned char* at) {
    return *reinterpret_cast<const uint4*>(at);
  }

  /// Moves `from` behind it.
  __device__ __forceinline__ void read_weight(const unsigned char*& from, Step<P>& step) const {
#pragma unroll
    for (int n = 0; n < 2 * P::column_tiles; ++n, from += kPieceBytes) {
      step.weight[n / 2][n % 2] = load(from + lane_);
    }
  }

  const std::uint8_t* weight_[2 * P::column_tiles];
  const std::uint8_t* x_[P::row_tiles];
  bool copies_x_[P::row_tiles];
  int x_at_[P::row_tiles];  // in a piece
  int lane_;                // where this lane's 16 bytes are in a piece
  int row_bytes_, first_, chunk_;
  unsigned char* ring_;
};

}  // namespace fp8cal
