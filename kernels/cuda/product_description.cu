#include <algorithm>
#include <array>
#include <stdexcept>

#include "kernels/cuda/cublaslt_check.hpp"
#include "kernels/cuda/product_description.hpp"

namespace fp8cal {
namespace {

// On, FP8 products keep fewer bits of the sums between steps of k.
constexpr std::int8_t kFastAccumulation = 0;

constexpr std::uint32_t kLargestAlignment = 256;  // bytes; cuBLASLt looks no further

std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t lowest_bit = address & (~address + 1);
  return static_cast<std::uint32_t>(std::min<std::uintptr_t>(lowest_bit, kLargestAlignment));
}

/// A single row has no next one, and its stride may be anything.
std::size_t stride_of(const ConstMatrix& matrix) {
  return matrix.rows > 1 ? matrix.stride : matrix.cols;
}

cudaDataType_t data_type(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return CUDA_R_16BF;
    case DType::e4m3:
      return CUDA_R_8F_E4M3;
    case DType::e5m2:
      return CUDA_R_8F_E5M2;
    case DType::f32:
      return CUDA_R_32F;
  }
  throw std::invalid_argument("a matrix product of an unknown dtype");
}

const char* dtype_name(DType dtype) {
  return dtype == DType::bf16 ? "bf16" : dtype == DType::e4m3 ? "e4m3" : "e5m2";
}

template <class Value>
void set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, Value value) {
  FP8CAL_CUBLASLT(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value));
}

template <class Value>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         Value value) {
  FP8CAL_CUBLASLT(
      cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
}

template <class Value>
void set(cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute,
         Value value) {
  FP8CAL_CUBLASLT(
      cublasLtMatmulAlgoConfigSetAttribute(&algorithm, attribute, &value, sizeof value));
}

template <class Value>
Value get(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute) {
  Value value{};
  FP8CAL_CUBLASLT(
      cublasLtMatmulAlgoConfigGetAttribute(&algorithm, attribute, &value, sizeof value, nullptr));
  return value;
}

/// A sum that is cut along k depends on where it is cut.
bool sums_in_one_piece(const cublasLtMatmulAlgo_t& algorithm) {
  return get<std::int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1 &&
         get<std::uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) ==
             CUBLASLT_REDUCTION_SCHEME_NONE;
}

}  // namespace

ProductKey ProductKey::of(const ConstMatrix& x, const ConstMatrix& weight, const Matrix& out,
                          ScaleMode scales) {
  return {.rows = out.rows,
          .columns = out.cols,
          .depth = x.cols,
          .x_stride = stride_of(x),
          .weight_stride = stride_of(weight),
          .out_stride = stride_of(out),
          .x_alignment = alignment_of(x.data),
          .weight_alignment = alignment_of(weight.data),
          .out_alignment = alignment_of(out.data),
          .x_dtype = x.dtype,
          .weight_dtype = weight.dtype,
          .out_dtype = out.dtype,
          .scales = scales};
}

std::string ProductKey::to_string() const {
  const auto matrix = [this](std::size_t first, DType dtype) {
    return std::string("[").append(std::to_string(first)) + ", " + std::to_string(depth) + "] " +
           dtype_name(dtype);
  };
  const char* with = scales == ScaleMode::none      ? ""
                     : scales == ScaleMode::scalars ? ", scalar scales"
                                                    : ", vector scales";
  const char* to = out_dtype == DType::f32 ? " to f32" : "";
  return matrix(rows, x_dtype) + " x " + matrix(columns, weight_dtype) + to + with;
}

void ProductDescription::Destroy::operator()(cublasLtMatmulDesc_t desc) const noexcept {
  static_cast<void>(cublasLtMatmulDescDestroy(desc));
}
void ProductDescription::Destroy::operator()(cublasLtMatrixLayout_t layout) const noexcept {
  static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
}
void ProductDescription::Destroy::operator()(cublasLtMatmulPreference_t preference) const noexcept {
  static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
}

/// cuBLASLt counts by columns: a row-major matrix is its transpose.
ProductDescription::Layout ProductDescription::make_layout(DType dtype, std::size_t rows,
                                                           std::size_t columns,
                                                           std::size_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  FP8CAL_CUBLASLT(cublasLtMatrixLayoutCreate(&layout, data_type(dtype), columns, rows,
                                             static_cast<std::int64_t>(stride)));
  return Layout(layout);
}

ProductDescription::ProductDescription(const ProductKey& key, const ProductOperands& operands)
    : scaled_(key.scales != ScaleMode::none),
      weight_(make_layout(key.weight_dtype, key.columns, key.depth, key.weight_stride)),
      x_(make_layout(key.x_dtype, key.rows, key.depth, key.x_stride)),
      out_(make_layout(key.out_dtype, key.rows, key.columns, key.out_stride)) {
  cublasLtMatmulDesc_t desc = nullptr;
  FP8CAL_CUBLASLT(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  desc_.reset(desc);
  set<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set<std::int32_t>(desc, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  if (scaled_) {
    const std::int32_t mode = key.scales == ScaleMode::scalars
                                  ? CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F
                                  : CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    set(desc, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
    set(desc, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
    set(desc, CUBLASLT_MATMUL_DESC_FAST_ACCUM, kFastAccumulation);
    set_scales(operands);
  }
}

void ProductDescription::set_scales(const ProductOperands& operands) {
  set<const void*>(desc_.get(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, operands.weight_scale);
  set<const void*>(desc_.get(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, operands.x_scale);
}

/// Asks for algorithms with these ways to add up a product that is cut along k.
ProductAlgorithms ProductDescription::ask(const ProductContext& context, const ProductKey& key,
                                          std::uint32_t reductions) const {
  cublasLtMatmulPreference_t preference = nullptr;
  FP8CAL_CUBLASLT(cublasLtMatmulPreferenceCreate(&preference));
  const Owned<cublasLtMatmulPreference_t> owner(preference);
  set<std::uint64_t>(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, context.workspace_bytes);
  set<std::uint32_t>(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.weight_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.x_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.out_alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.out_alignment);

  std::array<cublasLtMatmulHeuristicResult_t, ProductAlgorithms::kRoom> found{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      context.handle, desc_.get(), weight_.get(), x_.get(), out_.get(), out_.get(), preference,
      static_cast<int>(found.size()), found.data(), &count);
  ProductAlgorithms algorithms;
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return algorithms;
  FP8CAL_CUBLASLT(status);
  for (int i = 0; i < count; ++i) {
    if (found[i].state == CUBLAS_STATUS_SUCCESS) algorithms.add(found[i].algo);
  }
  return algorithms;
}

ProductAlgorithms ProductDescription::algorithms(const ProductContext& context,
                                                 const ProductKey& key) const {
  ProductAlgorithms chosen;
  const ProductAlgorithms whole = ask(context, key, CUBLASLT_REDUCTION_SCHEME_NONE);
  for (std::size_t i = 0; i < whole.count; ++i) {
    if (sums_in_one_piece(whole.all[i])) chosen.add(whole.all[i]);
  }
  if (chosen.count > 0) return chosen;
  // For few rows and a long k the heuristic may know of split sums only: the same kernels run
  // unsplit, where cuBLASLt agrees.
  const ProductAlgorithms split = ask(context, key, CUBLASLT_REDUCTION_SCHEME_MASK);
  for (std::size_t i = 0; i < split.count; ++i) {
    cublasLtMatmulAlgo_t one = split.all[i];
    set<std::int32_t>(one, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 1);
    set<std::uint32_t>(one, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, CUBLASLT_REDUCTION_SCHEME_NONE);
    if (takes(context, one) && sums_in_one_piece(one)) chosen.add(one);
  }
  if (chosen.count > 0) return chosen;
  throw std::runtime_error("matrix product " + key.to_string() +
                           ": expected an algorithm of cuBLASLt without split-K for this GPU, "
                           "found none");
}

bool ProductDescription::takes(const ProductContext& context,
                               const cublasLtMatmulAlgo_t& algorithm) const {
  cublasLtMatmulHeuristicResult_t checked{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(context.handle, desc_.get(), weight_.get(), x_.get(), out_.get(),
                              out_.get(), &algorithm, &checked);
  return status == CUBLAS_STATUS_SUCCESS && checked.workspaceSize <= context.workspace_bytes;
}

void ProductDescription::run(const ProductContext& context, const ProductOperands& operands,
                             const cublasLtMatmulAlgo_t& algorithm) {
  if (scaled_) set_scales(operands);
  const float one = 1.0f;
  const float zero = 0.0f;
  FP8CAL_CUBLASLT(cublasLtMatmul(context.handle, desc_.get(), &one, operands.weight, weight_.get(),
                                 operands.x, x_.get(), &zero, operands.out, out_.get(),
                                 operands.out, out_.get(), &algorithm, context.workspace,
                                 context.workspace_bytes, context.stream));
}

}  // namespace fp8cal
