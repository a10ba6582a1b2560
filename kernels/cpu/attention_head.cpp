#include "kernels/cpu/attention_head.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/aligned_array.hpp"
#include "kernels/cpu/context.hpp"

namespace fp8cal {
namespace {

/// What one head of one sequence needs; "blocks" are tiles of multiply_tile's x.
struct Scratch {
  AlignedArray<float> key_panels;     // [panels of keys][head_dim rounded up][panel_columns]
  AlignedArray<float> value_panels;   // [panels of head_dim][sequence_length][panel_columns]
  AlignedArray<float> queries;        // [blocks of head_dim][tile_rows] at kTileStride
  AlignedArray<float> probabilities;  // [blocks of keys][tile_rows] at kTileStride
  AlignedArray<float> scores;         // [tile_rows][sequence_length rounded up]
  AlignedArray<float> sums;           // [tile_rows][head_dim rounded up]
};

/// One head of one sequence. Queries are the last rows of q: row r stands at position before_ + r.
class Head {
 public:
  Head(const VectorKernels& kernels, ConstMatrix q, ConstMatrix k, ConstMatrix v, Matrix out)
      : kernels_(kernels),
        q_(q),
        k_(k),
        v_(v),
        out_(out),
        length_(k.rows),
        before_(k.rows - q.rows),
        head_dim_(q.cols),
        width_(kernels.panel_columns),
        block_(kernels.tile_rows * kTileStride),
        key_panel_(round_up(head_dim_, kDepthGroup) * width_),
        value_panel_(length_ * width_),
        score_stride_(round_up(round_up(length_, width_), kTileStride - kTileDepth)),
        sum_stride_(round_up(head_dim_, width_)),
        scale_(1.0f / std::sqrt(static_cast<float>(head_dim_))) {}

  void compute() {
    pack();
    for (std::size_t first = 0; first < q_.rows; first += kernels_.tile_rows) {
      const std::size_t rows = std::min(kernels_.tile_rows, q_.rows - first);
      score(first, rows);
      normalise(first, rows);
      weigh_values(first, rows);
    }
  }

 private:
  void pack() {
    float* panel = scratch().key_panels.at_least(divide_up(length_, width_) * key_panel_);
    for (std::size_t key = 0; key < length_; key += width_, panel += key_panel_) {
      kernels_.pack_transposed(k_.row<std::uint16_t>(key), k_.stride,
                               std::min(width_, length_ - key), head_dim_, panel);
    }
    panel = scratch().value_panels.at_least(divide_up(head_dim_, width_) * value_panel_);
    for (std::size_t c = 0; c < head_dim_; c += width_, panel += value_panel_) {
      kernels_.pack(v_.row<std::uint16_t>(0) + c, v_.stride, std::min(width_, head_dim_ - c),
                    length_, panel);
    }
  }

  /// scores[r][key] = q[first + r] . k[key] up to the last key that any of these rows sees.
  void score(std::size_t first, std::size_t rows) {
    float* queries = scratch().queries.at_least(divide_up(head_dim_, kTileDepth) * block_);
    float* scores = scratch().scores.at_least(kernels_.tile_rows * score_stride_);
    for (std::size_t d = 0; d < head_dim_; d += kTileDepth) {
      for (std::size_t r = 0; r < rows; ++r) {
        kernels_.widen(q_.row<std::uint16_t>(first + r) + d, std::min(kTileDepth, head_dim_ - d),
                       queries + d / kTileDepth * block_ + r * kTileStride);
      }
    }
    std::fill_n(scores, rows * score_stride_, 0.0f);
    const float* panel = scratch().key_panels.at_least(0);
    for (std::size_t key = 0; key < before_ + first + rows; key += width_, panel += key_panel_) {
      for (std::size_t d = 0; d < head_dim_; d += kTileDepth) {
        kernels_.multiply_tile(rows, std::min(kTileDepth, head_dim_ - d),
                               queries + d / kTileDepth * block_, panel + d * width_, scores + key,
                               score_stride_);
      }
    }
  }

  /// A row's probabilities are zero beyond its own position.
  void normalise(std::size_t first, std::size_t rows) {
    float* scores = scratch().scores.at_least(0);
    float* blocks = scratch().probabilities.at_least(divide_up(length_, kTileDepth) * block_);
    for (std::size_t r = 0; r < rows; ++r) {
      float* row = blocks + r * kTileStride;
      const std::size_t seen = before_ + first + r + 1;
      kernels_.softmax(scores + r * score_stride_, seen, scale_, {row, block_});
      for (std::size_t key = seen; key < before_ + first + rows; ++key) {
        row[key / kTileDepth * block_ + key % kTileDepth] = 0.0f;
      }
    }
  }

  void weigh_values(std::size_t first, std::size_t rows) {
    const float* blocks = scratch().probabilities.at_least(0);
    float* sums = scratch().sums.at_least(kernels_.tile_rows * sum_stride_);
    std::fill_n(sums, rows * sum_stride_, 0.0f);
    const std::size_t keys = before_ + first + rows;
    const float* panel = scratch().value_panels.at_least(0);
    for (std::size_t c = 0; c < head_dim_; c += width_, panel += value_panel_) {
      for (std::size_t key = 0; key < keys; key += kTileDepth) {
        kernels_.multiply_tile(rows, std::min(kTileDepth, keys - key),
                               blocks + key / kTileDepth * block_, panel + key * width_, sums + c,
                               sum_stride_);
      }
    }
    for (std::size_t r = 0; r < rows; ++r) {
      kernels_.narrow(sums + r * sum_stride_, head_dim_, out_.row<std::uint16_t>(first + r));
    }
  }

  static Scratch& scratch() {
    thread_local Scratch scratch;
    return scratch;
  }

  const VectorKernels& kernels_;
  ConstMatrix q_, k_, v_;
  Matrix out_;
  std::size_t length_, before_, head_dim_, width_;
  std::size_t block_, key_panel_, value_panel_;  // elements
  std::size_t score_stride_, sum_stride_;
  float scale_;
};

}  // namespace

void attend_head(const VectorKernels& kernels, ConstMatrix q, ConstMatrix k, ConstMatrix v,
                 Matrix out) {
  Head(kernels, q, k, v, out).compute();
}

ConstMatrix head_of(const ConstMatrix& x, std::size_t row, std::size_t rows, std::size_t head,
                    std::size_t head_dim) {
  return {x.row<std::uint16_t>(row) + head * head_dim, x.dtype, rows, head_dim, x.stride};
}

}  // namespace fp8cal
