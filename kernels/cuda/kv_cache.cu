#include "kernels/checks.hpp"
#include "kernels/cuda/kept.cuh"
#include "kernels/cuda/kv_cache.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/rotation.cuh"

namespace fp8cal {
namespace {

using Bf16 = std::uint16_t;

struct Append {
  Bf16 *q, *k;
  const Bf16 *v, *cosine, *sine;
  std::size_t q_stride, k_stride, v_stride, cosine_stride, sine_stride;
  const std::uint32_t* positions;
  std::uint8_t *keys, *values;
  std::size_t cache_cols;  // elements of a row of the cache
  std::size_t capacity, rows_per_sequence;
  Scales key_scale, value_scale;
  unsigned half, q_heads, kv_heads;
  unsigned head_packs;  // packs of half a head
};

/// Stores the `count` first of a pack as the cache keeps them, from its element `at` on.
template <DType format, bool aligned>
__device__ void keep(const Pack& pack, unsigned count, float scale, std::uint8_t* cache,
                     std::size_t at) {
  constexpr std::size_t kElement = sizeof(Kept<format>) / kPack;
  const Kept<format> whole = kept<format>(pack, scale);
  std::uint8_t* to = cache + at * kElement;
  if (aligned && count == kPack) {
    *reinterpret_cast<Kept<format>*>(to) = whole;
  } else {
#pragma unroll
    for (unsigned i = 0; i < sizeof(whole.at); ++i) {
      if (i < count * kElement) to[i] = whole.at[i];
    }
  }
}

/// A cell: a pack of the first half of a head, and its partners in the second; heads of q, then of
/// k, then of v.
template <DType format, bool aligned>
struct AppendCell {
  Append x;

  __device__ void operator()(std::size_t r, std::size_t cell) const {
    const unsigned head = static_cast<unsigned>(cell) / x.head_packs;
    const unsigned c = static_cast<unsigned>(cell) % x.head_packs * kPack;
    const unsigned count = pack_size(c, x.half);
    const std::uint32_t position = x.positions[r];
    const std::size_t cache_row = r / x.rows_per_sequence * x.capacity + position;
    if (head < x.q_heads + x.kv_heads) {
      const bool of_q = head < x.q_heads;
      const unsigned own = of_q ? head : head - x.q_heads;
      Bf16* to = (of_q ? x.q + r * x.q_stride : x.k + r * x.k_stride) + own * 2 * x.half + c;
      Pack first = load<aligned>(to, count);
      Pack second = load<aligned>(to + x.half, count);
      const Pack cosines = load<aligned>(x.cosine + position * x.cosine_stride + c, count);
      const Pack sines = load<aligned>(x.sine + position * x.sine_stride + c, count);
#pragma unroll
      for (unsigned i = 0; i < kPack; ++i)
        rotate(first.at[i], second.at[i], cosines.at[i], sines.at[i]);
      store<aligned>(first, count, to);
      store<aligned>(second, count, to + x.half);
      if (!of_q) keep_halves(first, second, count, x.key_scale, own, x.keys, cache_row, c);
    } else {
      const unsigned own = head - x.q_heads - x.kv_heads;
      const Bf16* from = x.v + r * x.v_stride + own * 2 * x.half + c;
      keep_halves(load<aligned>(from, count), load<aligned>(from + x.half, count), count,
                  x.value_scale, own, x.values, cache_row, c);
    }
  }

  __device__ void keep_halves(const Pack& first, const Pack& second, unsigned count,
                              const Scales& scale, unsigned head, std::uint8_t* cache,
                              std::size_t row, unsigned c) const {
    const std::size_t at = row * x.cache_cols + head * 2 * x.half + c;
    const float own = kv_scale(scale, head);
    keep<format, aligned>(first, count, own, cache, at);
    keep<format, aligned>(second, count, own, cache, at + x.half);
  }
};

template <DType format>
void launch(cudaStream_t stream, const Append& x, std::size_t rows, bool aligned) {
  const std::size_t cells = std::size_t{x.q_heads + 2 * x.kv_heads} * x.head_packs;
  if (aligned) {
    each_cell(stream, rows, cells, AppendCell<format, true>{x});
  } else {
    each_cell(stream, rows, cells, AppendCell<format, false>{x});
  }
}

}  // namespace

// Reads and writes q and k, reads v, and writes both once more.
void cuda_rope_append(cudaStream_t stream, Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                      ConstMatrix cosine, ConstMatrix sine, const std::uint32_t* positions,
                      const KvCache& cache) {
  expect_multiple("rope_append: head_dim", head_dim, 2);
  expect_multiple("rope_append: columns of q", q.cols, head_dim);
  expect_multiple("rope_append: columns of k", k.cols, head_dim);
  const std::size_t half = head_dim / 2;
  const std::size_t kv_heads = k.cols / head_dim;
  expect_matrix("rope_append: q", q, q.rows, q.cols);
  expect_matrix("rope_append: k", k, q.rows, k.cols);
  expect_matrix("rope_append: v", v, q.rows, k.cols);
  expect_matrix("rope_append: cosine", cosine, cosine.rows, half);
  expect_matrix("rope_append: sine", sine, cosine.rows, half);
  expect_cache("rope_append:", cache, k.cols, kv_heads);
  if (q.rows == 0) return;
  expect_multiple("rope_append: rows", q.rows, cache.sequences());
  const Append x{static_cast<Bf16*>(q.data),
                 static_cast<Bf16*>(k.data),
                 static_cast<const Bf16*>(v.data),
                 static_cast<const Bf16*>(cosine.data),
                 static_cast<const Bf16*>(sine.data),
                 q.stride,
                 k.stride,
                 v.stride,
                 cosine.stride,
                 sine.stride,
                 positions,
                 static_cast<std::uint8_t*>(cache.keys.data),
                 static_cast<std::uint8_t*>(cache.values.data),
                 k.cols,
                 cache.capacity,
                 q.rows / cache.sequences(),
                 cache.key_scale,
                 cache.value_scale,
                 static_cast<unsigned>(half),
                 static_cast<unsigned>(q.cols / head_dim),
                 static_cast<unsigned>(kv_heads),
                 static_cast<unsigned>(ceil_divide(half, kPack))};
  const bool aligned = packs_whole(q, k, v, cosine, sine) && half % kPack == 0 &&
                       rows_aligned(cache.keys, sizeof(Pack)) &&
                       rows_aligned(cache.values, sizeof(Pack));
  switch (cache.keys.dtype) {
    case DType::e4m3:
      return launch<DType::e4m3>(stream, x, q.rows, aligned);
    case DType::e5m2:
      return launch<DType::e5m2>(stream, x, q.rows, aligned);
    default:
      return launch<DType::bf16>(stream, x, q.rows, aligned);
  }
}

}  // namespace fp8cal
