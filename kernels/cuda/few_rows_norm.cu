#include "kernels/cuda/few_rows_norm.cuh"
#include "kernels/cuda/fp8_code.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/magnitude.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/float_formats.hpp"

// A few rows, one block each, which keeps its row in registers: what such a kernel takes is the
// time from one access of memory to the next, so each element is read once, all of them at once,
// and quantized before it is written.

namespace fp8cal {
namespace {

constexpr unsigned kHeldPacks = 4;  // of a thread
constexpr unsigned kWideThreads = 1024;

/// What becomes of a row of packs.
enum class Output { bf16, by_tensor, by_row };

struct Destination {
  Rows<Bf16> out;
  Rows<std::uint8_t> codes;
  const float* scale;
  float* row_scales;
};

__device__ void store_codes(const Pack& pack, const Divisor& divisor, std::uint8_t* to) {
  alignas(8) std::uint8_t codes[kPack];
  quantize_elements<__NV_E4M3, kPack>(pack.at, divisor, codes);
  *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(codes);
}

/// Asks for a row that the kernel before may still write to be in the L2 cache.
__device__ void prefetch_row(const Bf16* row, std::size_t cols) {
  constexpr unsigned kLine = 128 / sizeof(Bf16);
  for (std::size_t c = threadIdx.x * kLine; c < cols; c += blockDim.x * kLine) {
    asm volatile("prefetch.global.L2 [%0];\n" ::"l"(row + c));
  }
}

/// packs: this thread's, of row r; pack p at column threadIdx.x * kPack + p * step. divisor: of the
/// whole, if known.
template <Output output>
__device__ void store_row(const Pack (&packs)[kHeldPacks], std::size_t r, std::size_t cols,
                          Divisor divisor, const Destination& to) {
  const std::size_t first = threadIdx.x * kPack;
  const std::size_t step = blockDim.x * kPack;
  if constexpr (output == Output::by_row) {
    std::uint32_t largest = 0;
#pragma unroll
    for (unsigned p = 0; p < kHeldPacks; ++p) {
      if (first + p * step >= cols) break;
      largest = larger_halves(largest, larger_halves(magnitudes_of(packs[p])));
    }
    const float scale = scale_of_magnitude(block_maximum(larger_half(largest)), kE4M3Max);
    divisor = Divisor(scale);
    if (threadIdx.x == 0) to.row_scales[r] = scale;
  }
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) {
    const std::size_t c = first + p * step;
    if (c >= cols) break;
    if constexpr (output == Output::bf16) {
      store<true>(packs[p], kPack, to.out.at(r, c));
    } else {
      store_codes(packs[p], divisor, to.codes.at(r, c));
    }
  }
}

/// The order of the sums is that of add_rms_norm_kernel.
template <Output output>
__global__ void __launch_bounds__(kThreads)
    few_rows_norm_kernel(Rows<Bf16> residual, Parts delta, const Bf16* weight, float epsilon,
                         Destination to, std::size_t cols) {
  const std::size_t r = blockIdx.x;
  const std::size_t first = threadIdx.x * kPack;
  const std::size_t step = blockDim.x * kPack;
  Pack weights[kHeldPacks], packs[kHeldPacks];
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) {
    if (first + p * step < cols) weights[p] = load<true>(weight + first + p * step, kPack);
  }
  // The next product asks for its weight as soon as it may, and loads from here on would wait
  // behind it: for a row's own scale, which takes longest to compute, they had better come first.
  if constexpr (output != Output::by_row) let_next_start();
  // Both lie in memory, not in the L2 cache: all of a layer's weights were read since.
  prefetch_row(residual.at(r, 0), cols);
  const Divisor divisor(output == Output::by_tensor ? *to.scale : 1.0f);
  wait_for_earlier();
  const bool with_delta = delta.data.data != nullptr;
  Pack summands[kHeldPacks];  // all there before the first is written
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) {
    const std::size_t c = first + p * step;
    if (c >= cols) break;
    packs[p] = load<true>(residual.at(r, c), kPack);
    if (with_delta) summands[p] = delta.load_pack<true>(r, c, kPack);
  }
  if constexpr (output == Output::by_row) let_next_start();
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) {
    const std::size_t c = first + p * step;
    if (c >= cols || !with_delta) break;
    packs[p] = sum_of(packs[p], summands[p]);
    store<true>(packs[p], kPack, residual.at(r, c));
  }
  float squares = 0.0f;
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) {
    if (first + p * step < cols) add_squares(squares, packs[p]);
  }
  const float factor = rms_factor(block_sum(squares), cols, epsilon);
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) packs[p] = normalised(packs[p], factor, weights[p]);
  store_row<output>(packs, r, cols, divisor, to);
}

/// By a scale a row.
__global__ void __launch_bounds__(kWideThreads)
    few_rows_quantize_kernel(Rows<const Bf16> x, Destination to, std::size_t cols) {
  let_next_start();
  wait_for_earlier();
  const std::size_t r = blockIdx.x;
  Pack packs[kHeldPacks];
#pragma unroll
  for (unsigned p = 0; p < kHeldPacks; ++p) {
    const std::size_t c = (threadIdx.x + p * blockDim.x) * kPack;
    if (c < cols) packs[p] = load<true>(x.at(r, c), kPack);
  }
  store_row<Output::by_row>(packs, r, cols, Divisor(1.0f), to);
}

Destination destination_of(const QuantizedRows& into) {
  return {{nullptr, 0}, rows_of<std::uint8_t>(into.codes), into.scale.data, into.row_scales};
}

template <Output output>
void launch_norm(cudaStream_t stream, const Matrix& residual, const ConstMatrix& delta,
                 const ConstMatrix& weight, float epsilon, const Destination& to) {
  launch_early(stream, few_rows_norm_kernel<output>, static_cast<unsigned>(residual.rows),
               row_threads(residual.cols), 0, rows_of<Bf16>(residual), parts_of(delta, residual),
               weight.row<Bf16>(0), epsilon, to, residual.cols);
}

/// Whether a block of so many threads holds a row, and there are few.
bool can_hold(const ConstMatrix& x, unsigned threads) {
  return x.rows > 0 && x.rows <= kFewRows && x.cols > 0 &&
         x.cols <= std::size_t{kHeldPacks} * threads * kPack;
}

bool norm_fits(const ConstMatrix& residual, const ConstMatrix& delta, const ConstMatrix& weight) {
  return can_hold(residual, kThreads) && packs_whole(residual, weight) && parts_whole(delta) &&
         residual.cols == weight.cols;
}

bool codes_fit(const ConstMatrix& x, const QuantizedRows& into) {
  return into.codes.dtype == DType::e4m3 && into.codes.rows == x.rows &&
         into.codes.cols == x.cols && rows_aligned(into.codes, kPack) && into.scale.count <= 1;
}

}  // namespace

// Reads 4 bytes and writes 4 an element; without delta 2 and 2.
bool cuda_few_rows_norm(cudaStream_t stream, Matrix residual, ConstMatrix delta, ConstMatrix weight,
                        float epsilon, Matrix out) {
  if (!norm_fits(residual, delta, weight) || !packs_whole(out)) return false;
  launch_norm<Output::bf16>(stream, residual, delta, weight, epsilon,
                            {rows_of<Bf16>(out), {nullptr, 0}, nullptr, nullptr});
  return true;
}

// Reads 4 bytes and writes 3 an element.
bool cuda_few_rows_norm_quantize(cudaStream_t stream, Matrix residual, ConstMatrix delta,
                                 ConstMatrix weight, float epsilon, const QuantizedRows& into) {
  if (!norm_fits(residual, delta, weight) || !codes_fit(residual, into)) return false;
  const auto launch =
      into.scale.count == 0 ? launch_norm<Output::by_row> : launch_norm<Output::by_tensor>;
  launch(stream, residual, delta, weight, epsilon, destination_of(into));
  return true;
}

// Reads 2 bytes and writes 1 an element.
bool cuda_few_rows_quantize(cudaStream_t stream, ConstMatrix x, Matrix codes, float* scales) {
  const QuantizedRows into{codes, {}, scales};
  if (!can_hold(x, kWideThreads) || !packs_whole(x) || !codes_fit(x, into)) return false;
  const auto warps = static_cast<unsigned>(ceil_divide(x.cols, 32 * kPack));
  launch_early(stream, few_rows_quantize_kernel, static_cast<unsigned>(x.rows),
               std::min(32 * warps, kWideThreads), 0, rows_of<Bf16>(x), destination_of(into),
               x.cols);
  return true;
}

}  // namespace fp8cal
