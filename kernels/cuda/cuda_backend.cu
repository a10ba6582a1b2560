#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/cuda_stream.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/softmax.cuh"
#include "kernels/cuda/statistics.cuh"

namespace fp8cal {
namespace {

struct DestroyStream {
  void operator()(cudaStream_t stream) const noexcept {
    static_cast<void>(cudaStreamSynchronize(stream));
    static_cast<void>(cudaStreamDestroy(stream));
  }
};
using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream>;

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

Stream create_stream() {
  cudaStream_t stream = nullptr;
  FP8CAL_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

/// Freed memory stays in the device's pool, for the next buffer of about that size.
void keep_freed_memory(int device) {
  cudaMemPool_t pool = nullptr;
  std::uint64_t threshold = std::numeric_limits<std::uint64_t>::max();
  FP8CAL_CUDA(cudaDeviceGetDefaultMemPool(&pool, device));
  FP8CAL_CUDA(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
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
  explicit CudaBackend(int device) : device_(select_device(device)), stream_(create_stream()) {
    keep_freed_memory(device_);
  }

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

  Buffer allocate(std::size_t bytes) override {
    if (bytes == 0) return Buffer(*this, nullptr, 0);
    void* data = nullptr;
    const cudaError_t status = cudaMallocAsync(&data, bytes, stream());
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

  void embed(const std::uint32_t* ids, ConstMatrix table, std::uint32_t first_id,
             Matrix out) override {
    cuda_embed(stream(), ids, table, first_id, out);
  }
  void add_rms_norm(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                    Matrix out) override {
    cuda_add_rms_norm(stream(), residual, delta, weight, epsilon, out);
  }
  void add(Matrix residual, ConstMatrix delta) override { cuda_add(stream(), residual, delta); }
  void rope(Matrix x, std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine) override {
    cuda_rope(stream(), x, head_dim, cosine, sine);
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
  void quantize(ConstMatrix x, Scales scale, Matrix out) override {
    cuda_quantize(stream(), x, scale, out);
  }
  void quantize_rows(ConstMatrix x, Matrix out, float* scales) override {
    cuda_quantize_rows(stream(), x, out, scales);
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

  [[noreturn]] void fail_to_allocate(std::size_t bytes) const {
    static_cast<void>(cudaGetLastError());
    std::size_t free = 0, total = 0;
    FP8CAL_CUDA(cudaMemGetInfo(&free, &total));
    throw std::runtime_error("out of memory on cuda device " + std::to_string(device_) +
                             ": needed " + std::to_string(bytes) + " bytes, found " +
                             std::to_string(free) + " of " + std::to_string(total) + " free");
  }

  int device_;
  Stream stream_;
  CudaMultiply multiply_;
};

}  // namespace

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  static_cast<void>(cudaGetLastError());
  return 0;
}

std::unique_ptr<Backend> make_cuda_backend(int device) {
  return std::make_unique<CudaBackend>(device);
}

cudaStream_t cuda_stream(const Backend& backend) {
  const auto* cuda = dynamic_cast<const CudaBackend*>(&backend);
  if (cuda == nullptr) {
    throw std::invalid_argument("cuda_stream: expected a cuda backend, found " + backend.name());
  }
  return cuda->stream();
}

}  // namespace fp8cal
