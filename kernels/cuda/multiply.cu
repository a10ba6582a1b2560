#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/checks.hpp"
#include "kernels/cuda/cublaslt_check.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/dequantize.cuh"
#include "kernels/cuda/few_rows.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/product_blocks.hpp"
#include "kernels/cuda/scale_vector.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;  // NVIDIA's advice for Hopper
constexpr std::size_t kChecksumBytes = ProductAlgorithms::kRoom * sizeof(std::uint64_t);
constexpr std::size_t kFp8Bytes = 16;  // what FP8 tensor cores load at once
constexpr std::size_t kFirstScales = 1 << 16;

bool starts_at_multiple(const void* data, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(data) % bytes == 0;
}

bool current_device_has_fp8() {
  int device = 0, major = 0, minor = 0;
  FP8CAL_CUDA(cudaGetDevice(&device));
  FP8CAL_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  FP8CAL_CUDA(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  return major * 10 + minor >= 89;
}

DeviceMemory allocate_scratch(Fp8Products fp8) {
  if (fp8 == Fp8Products::native && current_device_has_fp8()) return nullptr;
  return allocate_device_memory(kDequantizedBytes);
}

/// True where the result is already there: nothing to write, or sums over nothing.
bool is_trivial(cudaStream_t stream, std::size_t depth, const Matrix& out) {
  if (out.rows == 0 || out.cols == 0) return true;
  if (depth > 0) return false;
  const std::size_t row_bytes = out.cols * size_of(out.dtype);
  const std::size_t pitch = out.rows > 1 ? out.stride * size_of(out.dtype) : row_bytes;
  FP8CAL_CUDA(cudaMemset2DAsync(out.data, pitch, 0, row_bytes, out.rows, stream));
  return true;
}

void expect_loadable(const char* stride_name, const char* data_name, const ConstMatrix& matrix) {
  if (matrix.rows > 1)
    expect_multiple(stride_name, matrix.stride * size_of(matrix.dtype), kFp8Bytes);
  expect_multiple(data_name, reinterpret_cast<std::uintptr_t>(matrix.data), kFp8Bytes);
}

/// cuBLASLt's conditions for FP8 products.
void expect_fp8_product(const ConstMatrix& x, const ConstMatrix& weight, const Matrix& out) {
  if (x.dtype == DType::e5m2 && weight.dtype == DType::e5m2) {
    throw std::invalid_argument(
        "multiply_scaled: expected e4m3 for x or weight, found e5m2 for both");
  }
  expect_multiple("multiply_scaled: K, columns of x and weight", x.cols, kFp8Bytes);
  expect_multiple("multiply_scaled: N, rows of weight", weight.rows, kFp8Bytes);
  expect_loadable("multiply_scaled: bytes between rows of x", "multiply_scaled: address of x", x);
  expect_loadable("multiply_scaled: bytes between rows of weight",
                  "multiply_scaled: address of weight", weight);
  expect_loadable("multiply_scaled: bytes between rows of out", "multiply_scaled: address of out",
                  out);
}

ConstMatrix fp8_rows(const ConstMatrix& matrix, EvenRuns::Run run) {
  return {matrix.row<std::uint8_t>(run.first), matrix.dtype, run.count, matrix.cols, matrix.stride};
}

Scales part(const Scales& scales, EvenRuns::Run run) {
  return scales.count == 1 ? scales : Scales{scales.data + run.first, run.count};
}

void expect_few(const std::string& what, const ConstMatrix& x, Scales x_scale,
                const ConstMatrix& weight, Scales weight_scale) {
  const bool plain = weight.dtype == DType::bf16;
  const bool of_fp8 = !plain && x.dtype != DType::bf16;
  expect_matrix((what + " x").c_str(), x, x.rows, x.cols, of_fp8 ? DType::e4m3 : DType::bf16);
  expect_matrix((what + " weight").c_str(), weight, weight.rows, x.cols,
                plain ? DType::bf16 : DType::e4m3);
  if (!plain) expect_scales((what + " weight_scale").c_str(), weight_scale, weight.rows);
  if (of_fp8) expect_scales((what + " x_scale").c_str(), x_scale, x.rows);
}

}  // namespace

void CudaMultiply::DestroyHandle::operator()(cublasLtHandle_t handle) const noexcept {
  static_cast<void>(cublasLtDestroy(handle));
}

CudaMultiply::CudaMultiply(Fp8Products fp8)
    : workspace_(allocate_device_memory(kWorkspaceBytes)),
      checksums_(allocate_device_memory(kChecksumBytes)),
      scratch_(allocate_scratch(fp8)) {
  cublasLtHandle_t handle = nullptr;
  FP8CAL_CUBLASLT(cublasLtCreate(&handle));
  handle_.reset(handle);
}

void CudaMultiply::multiply(cudaStream_t stream, ConstMatrix x, ConstMatrix weight, Matrix out) {
  expect_matrix("multiply: x", x, x.rows, x.cols);
  expect_matrix("multiply: weight", weight, weight.rows, x.cols);
  expect_matrix("multiply: out", out, x.rows, weight.rows);
  if (is_trivial(stream, x.cols, out)) return;
  run(stream, ProductKey::of(x, weight, out, ScaleMode::none),
      {x.data, weight.data, out.data, nullptr, nullptr});
}

void CudaMultiply::multiply_scaled(cudaStream_t stream, ConstMatrix x, Scales x_scale,
                                   ConstMatrix weight, Scales weight_scale, Matrix out) {
  expect_fp8("multiply_scaled: x", x, x.rows, x.cols);
  expect_fp8("multiply_scaled: weight", weight, weight.rows, x.cols);
  expect_matrix("multiply_scaled: out", out, x.rows, weight.rows);
  expect_scales("multiply_scaled: x_scale", x_scale, x.rows);
  expect_scales("multiply_scaled: weight_scale", weight_scale, weight.rows);
  if (is_trivial(stream, x.cols, out)) return;
  if (fp8_products() == Fp8Products::dequantized) {
    multiply_dequantized(stream, x, x_scale, weight, weight_scale, out);
  } else {
    multiply_on_tensor_cores(stream, x, x_scale, weight, weight_scale, out);
  }
}

bool CudaMultiply::has_few_rows_kernel(const ConstMatrix& x, const ConstMatrix& weight) const {
  const bool of_fp8 = x.dtype != DType::bf16 && weight.dtype != DType::bf16;
  return can_multiply_few(x, weight) && (!of_fp8 || fp8_products() == Fp8Products::native);
}

void CudaMultiply::multiply_few(cudaStream_t stream, ConstMatrix x, Scales x_scale,
                                ConstMatrix weight, Scales weight_scale, Matrix out) {
  expect_at_most("multiply_few: rows of x", x.rows, kFewRows);
  const bool plain = weight.dtype == DType::bf16;
  const bool mixed = !plain && x.dtype == DType::bf16;
  const bool can = has_few_rows_kernel(x, weight);
  if (plain && !can) return multiply(stream, x, weight, out);
  if (!plain && !mixed && !can) {
    return multiply_scaled(stream, x, x_scale, weight, weight_scale, out);
  }
  expect_few("multiply_few:", x, x_scale, weight, weight_scale);
  expect_matrix("multiply_few: out", out, x.rows, weight.rows);
  if (is_trivial(stream, x.cols, out)) return;
  if (!can) {
    throw std::invalid_argument(
        "multiply_few: bf16 x by an e4m3 weight: expected rows at multiples of 16 bytes, found "
        "others");
  }
  cuda_multiply_few(stream, x, x_scale, weight, weight_scale, out);
}

bool CudaMultiply::multiply_few_silu(cudaStream_t stream, ConstMatrix x, Scales x_scale,
                                     ConstMatrix weight, Scales weight_scale, Matrix out,
                                     const QuantizedRows& into) {
  if (!has_few_rows_kernel(x, weight) || x.cols == 0) return false;
  expect_few("multiply_few_silu:", x, x_scale, weight, weight_scale);
  expect_multiple("multiply_few_silu: rows of weight", weight.rows, 2);
  expect_matrix("multiply_few_silu: out", out, x.rows, weight.rows / 2);
  if (into.codes.data != nullptr) {
    expect_matrix("multiply_few_silu: codes", into.codes, out.rows, out.cols, DType::e4m3);
    expect_scales("multiply_few_silu: scale", into.scale, 1);
  }
  cuda_multiply_few_silu(stream, x, x_scale, weight, weight_scale, out, into);
  return true;
}

bool CudaMultiply::quantize_multiply_few(cudaStream_t stream, ConstMatrix x, ConstMatrix weight,
                                         Scales weight_scale, Matrix out) {
  const bool native = fp8_products() == Fp8Products::native;
  if (!native || !can_multiply_few(x, weight) || x.cols == 0) return false;
  expect_few("quantize_multiply_few:", x, {}, weight, weight_scale);
  expect_matrix("quantize_multiply_few: out", out, x.rows, weight.rows);
  return cuda_quantize_multiply_few(stream, x, weight, weight_scale, out);
}

void CudaMultiply::multiply_on_tensor_cores(cudaStream_t stream, const ConstMatrix& x,
                                            Scales x_scale, const ConstMatrix& weight,
                                            Scales weight_scale, const Matrix& out) {
  expect_fp8_product(x, weight, out);
  const bool vectors = x_scale.count != 1 || weight_scale.count != 1;
  ProductOperands operands{x.data, weight.data, out.data, x_scale.data, weight_scale.data};
  if (vectors) {
    const std::size_t x_room = (x.rows + 63) / 64 * 64;
    reserve_scales(x_room + weight.rows);
    float* room = static_cast<float*>(scales_.get());
    const auto as_vector = [&](Scales scales, std::size_t count, float* into) {
      if (scales.count == count && starts_at_multiple(scales.data, kFp8Bytes)) return scales.data;
      cuda_spread_scales(stream, scales, count, into);
      return static_cast<const float*>(into);
    };
    operands.x_scale = as_vector(x_scale, x.rows, room);
    operands.weight_scale = as_vector(weight_scale, weight.rows, room + x_room);
  }
  run(stream, ProductKey::of(x, weight, out, vectors ? ScaleMode::vectors : ScaleMode::scalars),
      operands);
}

/// Each row of x is dequantized once, each row of weight once a block of rows of x.
void CudaMultiply::multiply_dequantized(cudaStream_t stream, const ConstMatrix& x, Scales x_scale,
                                        const ConstMatrix& weight, Scales weight_scale,
                                        const Matrix& out) {
  const ProductBlocks blocks = ProductBlocks::within(kDequantizedBytes, out.rows, out.cols, x.cols);
  auto* scratch = static_cast<std::byte*>(scratch_.get());
  for (std::size_t i = 0; i < blocks.rows.count(); ++i) {
    const EvenRuns::Run rows = blocks.rows[i];
    const Matrix wide_x{scratch, DType::bf16, rows.count, x.cols, blocks.stride};
    cuda_decode(stream, fp8_rows(x, rows), wide_x);
    const Matrix out_rows = out.row_range(rows.first, rows.count);
    for (std::size_t j = 0; j < blocks.columns.count(); ++j) {
      const EvenRuns::Run columns = blocks.columns[j];
      const Matrix wide_weight{scratch + blocks.weight_at, DType::bf16, columns.count, x.cols,
                               blocks.stride};
      const Matrix sums{scratch + blocks.sums_at, DType::f32, rows.count, columns.count,
                        blocks.sums_stride};
      cuda_decode(stream, fp8_rows(weight, columns), wide_weight);
      run(stream, ProductKey::of(wide_x, wide_weight, sums, ScaleMode::none),
          {wide_x.data, wide_weight.data, sums.data, nullptr, nullptr});
      cuda_scale_sums(stream, sums, part(x_scale, rows), part(weight_scale, columns),
                      out_rows.column_range(columns.first, columns.count));
    }
  }
}

void CudaMultiply::run(cudaStream_t stream, const ProductKey& key,
                       const ProductOperands& operands) {
  const ProductContext context{handle_.get(), workspace_.get(), kWorkspaceBytes,
                               static_cast<std::uint64_t*>(checksums_.get()), stream};
  auto found = plans_.find(key);
  if (found == plans_.end()) {
    found = plans_.emplace(key, ProductPlan(context, key, operands)).first;
  }
  found->second.run(context, operands);
}

void CudaMultiply::reserve_scales(std::size_t count) {
  if (count <= scales_count_) return;
  const std::size_t room = std::max({count, 2 * scales_count_, kFirstScales});
  scales_ = allocate_device_memory(room * sizeof(float));
  scales_count_ = room;
}

}  // namespace fp8cal
