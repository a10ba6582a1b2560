#include "kernels/checks.hpp"
#include "kernels/cuda/dequantize.cuh"
#include "kernels/cuda/launch.cuh"

namespace fp8cal {
namespace {

/// What is special about each format, its codes taken without their sign.
template <DType format>
struct Fp8;

template <>
struct Fp8<DType::e4m3> {
  static constexpr unsigned kToFloat = 20;         // puts the exponent's lowest bit on a float's
  static constexpr float kBias = 0x1p120f;         // 2^(127 - 7)
  static constexpr unsigned kFirstSpecial = 0x7F;  // NaN
};

template <>
struct Fp8<DType::e5m2> {
  static constexpr unsigned kToFloat = 21;
  static constexpr float kBias = 0x1p112f;         // 2^(127 - 15)
  static constexpr unsigned kFirstSpecial = 0x7C;  // infinity, then NaNs
};

/// bf16(code * scale). The code in integers and one exact product, since GPUs before sm_89 convert
/// FP8 in many steps; NaN and infinity as they are.
template <DType format>
__device__ std::uint16_t bf16_of(unsigned code, float scale) {
  using Format = Fp8<format>;
  const unsigned magnitude = code & 0x7Fu;
  const unsigned sign = code & 0x80u;
  if (magnitude >= Format::kFirstSpecial) {
    const bool infinite = format == DType::e5m2 && magnitude == Format::kFirstSpecial;
    return static_cast<std::uint16_t>((infinite ? 0x7F80u : 0x7FC0u) | sign << 8);
  }
  const float value =
      __fmul_rn(__uint_as_float(magnitude << Format::kToFloat | sign << 24), Format::kBias);
  return to_bf16(__fmul_rn(value, scale));
}

constexpr unsigned kCodes = 2 * kPack;  // of a thread: 16 bytes

template <DType format, bool aligned>
struct Dequantize {
  ConstMatrix codes;
  Scales scale;  // none: 1
  Matrix out;

  __device__ void operator()(std::size_t r, std::size_t part) const {
    const std::size_t c = part * kCodes;
    const std::size_t left = codes.cols - c;
    const unsigned count = left < kCodes ? static_cast<unsigned>(left) : kCodes;
    const auto* from = static_cast<const std::uint8_t*>(codes.data) + r * codes.stride + c;
    auto* to = static_cast<std::uint16_t*>(out.data) + r * out.stride + c;
    alignas(16) std::uint8_t bytes[kCodes] = {};
    if (aligned && count == kCodes) {
      *reinterpret_cast<uint4*>(bytes) = *reinterpret_cast<const uint4*>(from);
    } else {
#pragma unroll
      for (unsigned i = 0; i < kCodes; ++i) {
        if (i < count) bytes[i] = from[i];
      }
    }
    const float factor = scale.count == 0 ? 1.0f : scale.data[scale.count == 1 ? 0 : r];
    Pack packs[2];
#pragma unroll
    for (unsigned i = 0; i < kCodes; ++i) {
      packs[i / kPack].at[i % kPack] = bf16_of<format>(bytes[i], factor);
    }
    store<aligned>(packs[0], min(count, kPack), to);
    store<aligned>(packs[1], count > kPack ? count - kPack : 0, to + kPack);
  }
};

template <bool aligned>
struct ScaleSums {
  ConstMatrix sums;
  Scales x_scale, weight_scale;
  Matrix out;

  __device__ void operator()(std::size_t r, std::size_t pack) const {
    const std::size_t c = pack * kPack;
    const unsigned count = pack_size(c, out.cols);
    const auto* from = static_cast<const float*>(sums.data) + r * sums.stride + c;
    alignas(16) float values[kPack] = {};
    if (aligned && count == kPack) {
      *reinterpret_cast<float4*>(values) = *reinterpret_cast<const float4*>(from);
      *reinterpret_cast<float4*>(values + 4) = *reinterpret_cast<const float4*>(from + 4);
    } else {
#pragma unroll
      for (unsigned i = 0; i < kPack; ++i) {
        if (i < count) values[i] = from[i];
      }
    }
    const float row_scale = x_scale.data[x_scale.count == 1 ? 0 : r];
    Pack result{};
#pragma unroll
    for (unsigned i = 0; i < kPack; ++i) {
      if (i >= count) continue;
      const float column_scale = weight_scale.data[weight_scale.count == 1 ? 0 : c + i];
      result.at[i] = to_bf16(__fmul_rn(values[i], __fmul_rn(row_scale, column_scale)));
    }
    auto* to = static_cast<std::uint16_t*>(out.data) + r * out.stride + c;
    store<aligned>(result, count, to);
  }
};

template <DType format>
void dequantize(cudaStream_t stream, const ConstMatrix& codes, Scales scale, const Matrix& out) {
  const std::size_t across = ceil_divide(codes.cols, kCodes);
  if (rows_aligned(codes, kCodes) && packs_aligned(out)) {
    each_cell(stream, codes.rows, across, Dequantize<format, true>{codes, scale, out});
  } else {
    each_cell(stream, codes.rows, across, Dequantize<format, false>{codes, scale, out});
  }
}

void launch(cudaStream_t stream, const ConstMatrix& codes, Scales scale, const Matrix& out) {
  expect_fp8("dequantize: codes", codes, codes.rows, codes.cols);
  expect_matrix("dequantize: out", out, codes.rows, codes.cols);
  if (codes.dtype == DType::e4m3) {
    dequantize<DType::e4m3>(stream, codes, scale, out);
  } else {
    dequantize<DType::e5m2>(stream, codes, scale, out);
  }
}

}  // namespace

// Reads 1 byte and writes 2 an element.
void cuda_dequantize(cudaStream_t stream, ConstMatrix codes, Scales scale, Matrix out) {
  expect_scales("dequantize: scale", scale, codes.rows);
  launch(stream, codes, scale, out);
}

// Reads 1 byte and writes 2 an element.
void cuda_decode(cudaStream_t stream, ConstMatrix codes, Matrix out) {
  launch(stream, codes, {}, out);
}

// Reads 4 bytes and writes 2 an element; the scales stay in the caches.
void cuda_scale_sums(cudaStream_t stream, ConstMatrix sums, Scales x_scale, Scales weight_scale,
                     Matrix out) {
  expect_matrix("scale_sums: sums", sums, out.rows, out.cols, DType::f32);
  expect_matrix("scale_sums: out", out, out.rows, out.cols);
  expect_scales("scale_sums: x_scale", x_scale, out.rows);
  expect_scales("scale_sums: weight_scale", weight_scale, out.cols);
  const std::size_t across = ceil_divide(out.cols, kPack);
  if (rows_aligned(sums, sizeof(float4)) && packs_aligned(out)) {
    each_cell(stream, out.rows, across, ScaleSums<true>{sums, x_scale, weight_scale, out});
  } else {
    each_cell(stream, out.rows, across, ScaleSums<false>{sums, x_scale, weight_scale, out});
  }
}

}  // namespace fp8cal
