#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cached_attention.hpp"
#include "kernels/cuda/comparison.cuh"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/cuda_handles.hpp"
#include "kernels/cuda/cuda_stream.hpp"
#include "kernels/cuda/cuda_upload_queue.hpp"
#include "kernels/cuda/dequantize.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/few_rows_norm.cuh"
#include "kernels/cuda/graph_recording.hpp"
#include "kernels/cuda/kv_cache.cuh"
#include "kernels/cuda/memory_pool.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/row_errors.cuh"
#include "kernels/cuda/softmax.cuh"
#include "kernels/cuda/statistics.cuh"
#include "kernels/cuda/tokens.cuh"

namespace fp8cal {
namespace {

/// Makes the device current, so that what follows belongs to it.
int select_device(int device) {
  const int count = cuda_device_count();
  if (device < 0 || device >= count) {
    throw std::invalid_argument("cuda device " + std::to_string(device) +
                                ": expected one below the number of CUDA devices, " +
                                std::to_string(count));
  }
  FP8CAL_CUDA(cudaSetDevice(device));
  return device;
}

/// CUDA counts 1000 a major version and 10 a minor one.
std::string cuda_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// cuBLASLt counts 10000, 100 and 1.
std::string cublaslt_version() {
  const std::size_t version = cublasLtGetVersion();
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(int device, Fp8Products fp8)
      : device_(select_device(device)),
        pool_(create_memory_pool(device_, 0)),
        stream_(create_cuda_stream()),
        multiply_(fp8) {}

  cudaStream_t stream() const { return stream_.get(); }

  std::string name() const override { return "cuda"; }
  std::string device() const override {
    cudaDeviceProp properties{};
    int driver = 0, runtime = 0;
    FP8CAL_CUDA(cudaGetDeviceProperties(&properties, device_));
    FP8CAL_CUDA(cudaDriverGetVersion(&driver));
    FP8CAL_CUDA(cudaRuntimeGetVersion(&runtime));
    return std::string(properties.name) + ", sm_" + std::to_string(properties.major) +
           std::to_string(properties.minor) + ", driver " + cuda_version(driver) +
           ", CUDA runtime " + cuda_version(runtime) + ", cuBLASLt " + cublaslt_version();
  }
  std::uint64_t memory_bytes() const override {
    std::size_t free = 0, total = 0;
    FP8CAL_CUDA(cudaMemGetInfo(&free, &total));
    return total;
  }
  Fp8Products fp8_products() const override { return multiply_.fp8_products(); }
  void limit_memory(std::uint64_t bytes) override {
    synchronize();
    pool_ = create_memory_pool(device_, bytes);
    pool_limit_ = bytes;
  }
  /// The pool gives back only where give_back_pieces has noted what was in use before.
  std::uint64_t peak_memory_bytes() const override {
    std::size_t free = 0, total = 0;
    FP8CAL_CUDA(cudaMemGetInfo(&free, &total));
    return std::max<std::uint64_t>(peak_before_, total - free);
  }

  Buffer allocate(std::size_t bytes) override {
    if (bytes == 0) return Buffer(*this, nullptr, 0);
    void* data = nullptr;
    cudaError_t status = cudaMallocFromPoolAsync(&data, bytes, pool_.get(), stream());
    if (status == cudaErrorMemoryAllocation) {
      give_back_pieces();
      status = cudaMallocFromPoolAsync(&data, bytes, pool_.get(), stream());
    }
    if (status == cudaErrorMemoryAllocation) fail_to_allocate(bytes);
    FP8CAL_CUDA(status);
    return Buffer(*this, data, bytes);
  }
  void upload(void* device, const void* host, std::size_t bytes) override {
    copy(device, host, bytes, cudaMemcpyHostToDevice);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    copy(host, device, bytes, cudaMemcpyDeviceToHost);
    synchronize();
  }
  void fill_zero(void* device, std::size_t bytes) override {
    if (bytes != 0) FP8CAL_CUDA(cudaMemsetAsync(device, 0, bytes, stream()));
  }
  void synchronize() override { FP8CAL_CUDA(cudaStreamSynchronize(stream())); }

  std::unique_ptr<Recording> record(const std::function<void()>& calls) override {
    return record_graph(stream(), calls);
  }

  /// A mark that is recorded with other calls is set by each replay.
  void mark(std::size_t number) override {
    while (marks_.size() <= number) marks_.push_back(create_cuda_event(cudaEventDefault));
    const unsigned flags =
        is_recording(stream()) ? cudaEventRecordExternal : cudaEventRecordDefault;
    FP8CAL_CUDA(cudaEventRecordWithFlags(marks_[number].get(), stream(), flags));
  }
  double seconds_between(std::size_t first, std::size_t second) override {
    FP8CAL_CUDA(cudaEventSynchronize(marks_.at(second).get()));
    float milliseconds = 0;
    FP8CAL_CUDA(
        cudaEventElapsedTime(&milliseconds, marks_.at(first).get(), marks_.at(second).get()));
    return milliseconds / 1e3;
  }
  std::unique_ptr<UploadQueue> make_upload_queue(std::size_t slots,
                                                 std::size_t slot_bytes) override {
    return make_cuda_upload_queue(device_, slots, slot_bytes);
  }

  void embed(const std::uint32_t* ids, ConstMatrix table, std::uint32_t first_id,
             Matrix out) override {
    cuda_embed(stream(), ids, table, first_id, out);
  }
  void add_rms_norm(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                    Matrix out) override {
    cuda_add_rms_norm(stream(), residual, delta, weight, epsilon, out);
  }
  void add_rms_norm_quantize(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                             Matrix out, const QuantizedRows& into) override {
    if (cuda_few_rows_norm_quantize(stream(), residual, delta, weight, epsilon, into)) return;
    Backend::add_rms_norm_quantize(residual, delta, weight, epsilon, out, into);
  }
  void add(Matrix residual, ConstMatrix delta) override { cuda_add(stream(), residual, delta); }
  void rope(Matrix x, std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine) override {
    cuda_rope(stream(), x, head_dim, cosine, sine);
  }
  void rope_append(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim, ConstMatrix cosine,
                   ConstMatrix sine, const std::uint32_t* positions,
                   const KvCache& cache) override {
    cuda_rope_append(stream(), q, k, v, head_dim, cosine, sine, positions, cache);
  }
  void cached_attention(ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
                        std::size_t head_dim, Matrix out) override {
    cached_attention_.attend(stream(), q, cache, positions, head_dim, out);
  }
  void decode_attention(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim, ConstMatrix cosine,
                        ConstMatrix sine, const std::uint32_t* positions, const KvCache& cache,
                        Matrix out, const QuantizedRows& into) override {
    const bool rows_later = into.codes.data != nullptr && into.scale.count == 0;
    const QuantizedRows at_once = rows_later ? QuantizedRows{} : into;
    if (!cached_attention_.append_and_attend(stream(), q, k, v, head_dim, cosine, sine, positions,
                                             cache, out, at_once)) {
      return Backend::decode_attention(q, k, v, head_dim, cosine, sine, positions, cache, out,
                                       into);
    }
    if (rows_later) quantize_rows(out, into.codes, into.row_scales);
  }
  void attention(ConstMatrix q, ConstMatrix k, ConstMatrix v, std::size_t head_dim,
                 std::size_t sequence_length, Matrix out) override {
    cuda_attention(stream(), q, k, v, head_dim, sequence_length, out);
  }
  void silu_multiply(ConstMatrix gate, ConstMatrix up, Matrix out) override {
    cuda_silu_multiply(stream(), gate, up, out);
  }
  void multiply(ConstMatrix x, ConstMatrix weight, Matrix out) override {
    multiply_.multiply(stream(), x, weight, out);
  }
  void multiply_scaled(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                       Matrix out) override {
    multiply_.multiply_scaled(stream(), x, x_scale, weight, weight_scale, out);
  }
  void multiply_few(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                    Matrix out) override {
    multiply_.multiply_few(stream(), x, x_scale, weight, weight_scale, out);
  }
  void quantize_multiply_few(ConstMatrix x, const QuantizedRows& into, ConstMatrix weight,
                             Scales weight_scale, Matrix out) override {
    const bool by_row = into.scale.count == 0;
    if (by_row && multiply_.quantize_multiply_few(stream(), x, weight, weight_scale, out)) return;
    Backend::quantize_multiply_few(x, into, weight, weight_scale, out);
  }
  void multiply_few_silu(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                         Matrix products, Matrix out, const QuantizedRows& into) override {
    const bool rows_later = into.codes.data != nullptr && into.scale.count == 0;
    const QuantizedRows at_once = rows_later ? QuantizedRows{} : into;
    if (!multiply_.multiply_few_silu(stream(), x, x_scale, weight, weight_scale, out, at_once)) {
      return Backend::multiply_few_silu(x, x_scale, weight, weight_scale, products, out, into);
    }
    if (rows_later) quantize_rows(out, into.codes, into.row_scales);
  }
  void quantize(ConstMatrix x, Scales scale, Matrix out) override {
    cuda_quantize(stream(), x, scale, out);
  }
  void quantize_rows(ConstMatrix x, Matrix out, float* scales) override {
    if (cuda_few_rows_quantize(stream(), x, out, scales)) return;
    cuda_quantize_rows(stream(), x, out, scales);
  }
  void row_errors(ConstMatrix x, ConstMatrix codes, Scales scale, RowError* errors) override {
    cuda_row_errors(stream(), x, codes, scale, errors);
  }
  void dequantize(ConstMatrix codes, Scales scale, Matrix out) override {
    cuda_dequantize(stream(), codes, scale, out);
  }
  void row_amax(ConstMatrix x, std::uint32_t* amax) override { cuda_row_amax(stream(), x, amax); }
  void observe(ConstMatrix x, std::size_t first_row, std::size_t sequence_length,
               const Observation& into) override {
    cuda_observe(stream(), x, first_row, sequence_length, into);
  }
  void softmax_partials(ConstMatrix logits, std::uint32_t first_id, const std::uint32_t* targets,
                        float* partials) override {
    cuda_softmax_partials(stream(), logits, first_id, targets, partials);
  }
  void combine_partials(const float* partials, std::size_t slices, const std::uint32_t* targets,
                        std::size_t tokens, float* nll) override {
    cuda_combine_partials(stream(), partials, slices, targets, tokens, nll);
  }
  void comparison_partials(ConstMatrix p, ConstMatrix q, std::uint32_t first_id,
                           ComparisonPartial* partials) override {
    cuda_comparison_partials(stream(), p, q, first_id, partials);
  }
  void combine_comparison(const ComparisonPartial* partials, std::size_t slices, std::size_t tokens,
                          float* kl, std::uint8_t* same_top) override {
    cuda_combine_comparison(stream(), partials, slices, tokens, kl, same_top);
  }
  void top_tokens(ConstMatrix logits, std::uint32_t first_id, TopToken* tops) override {
    cuda_top_tokens(stream(), logits, first_id, tops);
  }
  void next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows, std::uint32_t* ids,
                   std::uint32_t* positions) override {
    cuda_next_tokens(stream(), tops, slices, rows, ids, positions);
  }
  void interleave_columns(const void* gathered, std::size_t parts, Matrix out) override {
    cuda_interleave_columns(stream(), gathered, parts, out);
  }

 private:
  void release(void* device, std::size_t) noexcept override {
    if (device != nullptr) static_cast<void>(cudaFreeAsync(device, stream()));
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    if (bytes != 0) FP8CAL_CUDA(cudaMemcpyAsync(to, from, bytes, kind, stream()));
  }

  /// Free memory of the pool may lie in pieces that are each too small.
  void give_back_pieces() {
    static_cast<void>(cudaGetLastError());
    peak_before_ = peak_memory_bytes();
    synchronize();
    FP8CAL_CUDA(cudaMemPoolTrimTo(pool_.get(), 0));
  }

  [[noreturn]] void fail_to_allocate(std::size_t bytes) const {
    static_cast<void>(cudaGetLastError());
    std::size_t free = 0, total = 0;
    std::uint64_t reserved = 0;
    FP8CAL_CUDA(cudaMemGetInfo(&free, &total));
    FP8CAL_CUDA(cudaMemPoolGetAttribute(pool_.get(), cudaMemPoolAttrReservedMemCurrent, &reserved));
    std::string text = "out of memory on cuda device " + std::to_string(device_) + ": needed " +
                       std::to_string(bytes) + " bytes, found " + std::to_string(free) + " of " +
                       std::to_string(total) + " free";
    if (pool_limit_ > 0) {
      text += " and " + std::to_string(reserved) + " taken of the " + std::to_string(pool_limit_) +
              " that the job's buffers may take";
    }
    throw std::runtime_error(text);
  }

  int device_;
  MemoryPool pool_;
  std::uint64_t pool_limit_ = 0;  // 0: none
  std::uint64_t peak_before_ = 0;
  CudaStream stream_;
  CudaMultiply multiply_;
  CudaCachedAttention cached_attention_;
  std::vector<CudaEvent> marks_;
};

}  // namespace

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  return 0;
}

std::unique_ptr<Backend> make_cuda_backend(int device, Fp8Products fp8) {
  return std::make_unique<CudaBackend>(device, fp8);
}

cudaStream_t cuda_stream(const Backend& backend) {
  const auto* cuda = dynamic_cast<const CudaBackend*>(&backend);
  if (cuda == nullptr) {
    throw std::invalid_argument("cuda_stream: expected a cuda backend, found " + backend.name());
  }
  return cuda->stream();
}

}  // namespace fp8cal
