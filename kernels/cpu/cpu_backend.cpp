#include "kernels/cpu/cpu_backend.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cpu/aligned_array.hpp"
#include "kernels/cpu/attention.hpp"
#include "kernels/cpu/cached_attention.hpp"
#include "kernels/cpu/comparison.hpp"
#include "kernels/cpu/dequantize.hpp"
#include "kernels/cpu/elementwise.hpp"
#include "kernels/cpu/instruction_sets.hpp"
#include "kernels/cpu/multiply.hpp"
#include "kernels/cpu/quantize.hpp"
#include "kernels/cpu/row_errors.hpp"
#include "kernels/cpu/softmax.hpp"
#include "kernels/cpu/statistics.hpp"
#include "kernels/cpu/top_tokens.hpp"

namespace fp8cal {
namespace {

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t value = line.find(": ");
    if (line.starts_with("model name") && value != std::string::npos) return line.substr(value + 2);
  }
  return "unknown CPU";
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, const VectorKernels& kernels)
      : pool_(threads), context_{pool_, kernels} {}

  std::string name() const override { return "cpu"; }
  std::string device() const override {
    return cpu_model() + ", " + context_.kernels.name + ", " + std::to_string(pool_.threads()) +
           (pool_.threads() == 1 ? " thread" : " threads");
  }
  std::uint64_t memory_bytes() const override {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }

  void limit_memory(std::uint64_t bytes) override { limit_ = bytes; }
  std::uint64_t peak_memory_bytes() const override { return peak_; }

  Buffer allocate(std::size_t bytes) override {
    if (used_ + bytes > limit_) {
      throw std::runtime_error("out of the memory that the job may use: needed " +
                               std::to_string(bytes) + " bytes, found " +
                               std::to_string(limit_ - used_) + " of " + std::to_string(limit_) +
                               " free");
    }
    Buffer buffer(*this, ::operator new (bytes, std::align_val_t{kAlignment}), bytes);
    used_ += bytes;
    peak_ = std::max(peak_, used_);
    return buffer;
  }
  void upload(void* device, const void* host, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(device, host, bytes);
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(host, device, bytes);
  }
  void fill_zero(void* device, std::size_t bytes) override {
    if (bytes != 0) std::memset(device, 0, bytes);
  }
  void synchronize() override {}

  void mark(std::size_t number) override {
    if (number >= marks_.size()) marks_.resize(number + 1);
    marks_[number] = Clock::now();
  }
  double seconds_between(std::size_t first, std::size_t second) override {
    return std::chrono::duration<double>(marks_.at(second) - marks_.at(first)).count();
  }

  void embed(const std::uint32_t* ids, ConstMatrix table, std::uint32_t first_id,
             Matrix out) override {
    cpu_embed(context_, ids, table, first_id, out);
  }
  void add_rms_norm(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                    Matrix out) override {
    cpu_add_rms_norm(context_, residual, delta, weight, epsilon, out);
  }
  void add(Matrix residual, ConstMatrix delta) override { cpu_add(context_, residual, delta); }
  void rope(Matrix x, std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine) override {
    cpu_rope(context_, x, head_dim, cosine, sine);
  }
  void rope_append(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim, ConstMatrix cosine,
                   ConstMatrix sine, const std::uint32_t* positions,
                   const KvCache& cache) override {
    cpu_rope_append(context_, q, k, v, head_dim, cosine, sine, positions, cache);
  }
  void attention(ConstMatrix q, ConstMatrix k, ConstMatrix v, std::size_t head_dim,
                 std::size_t sequence_length, Matrix out) override {
    cpu_attention(context_, q, k, v, head_dim, sequence_length, out);
  }
  void cached_attention(ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
                        std::size_t head_dim, Matrix out) override {
    cpu_cached_attention(context_, q, cache, positions, head_dim, out);
  }
  void silu_multiply(ConstMatrix gate, ConstMatrix up, Matrix out) override {
    cpu_silu_multiply(context_, gate, up, out);
  }
  void multiply(ConstMatrix x, ConstMatrix weight, Matrix out) override {
    cpu_multiply(context_, x, weight, out);
  }
  void multiply_scaled(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                       Matrix out) override {
    cpu_multiply_scaled(context_, x, x_scale, weight, weight_scale, out);
  }
  void multiply_few(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                    Matrix out) override {
    cpu_multiply_few(context_, x, x_scale, weight, weight_scale, out);
  }
  void quantize(ConstMatrix x, Scales scale, Matrix out) override {
    cpu_quantize(context_, x, scale, out);
  }
  void quantize_rows(ConstMatrix x, Matrix out, float* scales) override {
    cpu_quantize_rows(context_, x, out, scales);
  }
  void row_errors(ConstMatrix x, ConstMatrix codes, Scales scale, RowError* errors) override {
    cpu_row_errors(context_, x, codes, scale, errors);
  }
  void dequantize(ConstMatrix codes, Scales scale, Matrix out) override {
    cpu_dequantize(context_, codes, scale, out);
  }
  void row_amax(ConstMatrix x, std::uint32_t* amax) override { cpu_row_amax(context_, x, amax); }
  void observe(ConstMatrix x, std::size_t first_row, std::size_t sequence_length,
               const Observation& into) override {
    cpu_observe(context_, x, first_row, sequence_length, into);
  }
  void softmax_partials(ConstMatrix logits, std::uint32_t first_id, const std::uint32_t* targets,
                        float* partials) override {
    cpu_softmax_partials(context_, logits, first_id, targets, partials);
  }
  void combine_partials(const float* partials, std::size_t slices, const std::uint32_t* targets,
                        std::size_t tokens, float* nll) override {
    cpu_combine_partials(context_, partials, slices, targets, tokens, nll);
  }
  void comparison_partials(ConstMatrix p, ConstMatrix q, std::uint32_t first_id,
                           ComparisonPartial* partials) override {
    cpu_comparison_partials(context_, p, q, first_id, partials);
  }
  void combine_comparison(const ComparisonPartial* partials, std::size_t slices, std::size_t tokens,
                          float* kl, std::uint8_t* same_top) override {
    cpu_combine_comparison(context_, partials, slices, tokens, kl, same_top);
  }
  void top_tokens(ConstMatrix logits, std::uint32_t first_id, TopToken* tops) override {
    cpu_top_tokens(context_, logits, first_id, tops);
  }
  void next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows, std::uint32_t* ids,
                   std::uint32_t* positions) override {
    cpu_next_tokens(tops, slices, rows, ids, positions);
  }
  void interleave_columns(const void* gathered, std::size_t parts, Matrix out) override {
    cpu_interleave_columns(context_, gathered, parts, out);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void release(void* device, std::size_t bytes) noexcept override {
    ::operator delete (device, std::align_val_t{kAlignment});
    used_ -= bytes;
  }

  ThreadPool pool_;
  CpuContext context_;
  std::vector<Clock::time_point> marks_;
  std::uint64_t limit_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t used_ = 0;
  std::uint64_t peak_ = 0;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) {
  return make_cpu_backend(threads, *available_vector_kernels().front());
}

std::unique_ptr<Backend> make_cpu_backend(int threads, const VectorKernels& kernels) {
  return std::make_unique<CpuBackend>(threads, kernels);
}

}  // namespace fp8cal
