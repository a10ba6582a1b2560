#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace fp8cal {

/// All calls of one operation, and of one shape where it is a matrix product.
struct KernelTime {
  std::string kernel;  ///< the method's name; products: with "MxNxK"
  std::size_t calls = 0;
  double seconds = 0;
  double flop = 0;   ///< of products and attention; else 0
  double bytes = 0;  ///< that must at least be read and written
};

/// Where the time between start() and stop() went.
struct KernelProfile {
  double seconds = 0;               ///< all of it
  std::vector<KernelTime> kernels;  ///< by name

  /// Seconds in none of the kernels: gathers that were waited for, launches, work on the host.
  double other_seconds() const;
};

/// Sums, kernel by kernel.
KernelProfile& operator+=(KernelProfile& sum, const KernelProfile& summand);

/// Passes every call on to another backend, and times those between start() and stop() on the
/// device. Timing waits for nothing: calls stay as asynchronous as they are. Buffers and streams
/// are the other backend's, which must outlive this. Uses all of its marks. Attention over a cache
/// is counted as if every position were taken: where a sequence stands only the device knows.
class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(Backend& inner) : inner_(inner) {}

  void start();
  void stop();
  /// Of what was timed last; waits until it is done.
  KernelProfile profile();
  /// Times what is not a call of a backend, as one of `kernel`. kernel: lives as long as this.
  void time(const char* kernel, double bytes, const std::function<void()>& work);
  /// Every replay is timed, as if it stood between start() and stop(). Of several recordings only
  /// the one made last may be replayed.
  std::unique_ptr<Recording> record(const std::function<void()>& calls) override;
  /// As record, but without marks: what calls take when nobody looks.
  std::unique_ptr<Recording> record_untimed(const std::function<void()>& calls) {
    return inner_.record(calls);
  }

  std::string name() const override { return inner_.name(); }
  std::string device() const override { return inner_.device(); }
  std::uint64_t memory_bytes() const override { return inner_.memory_bytes(); }
  Fp8Products fp8_products() const override { return inner_.fp8_products(); }
  void limit_memory(std::uint64_t bytes) override { inner_.limit_memory(bytes); }
  std::uint64_t peak_memory_bytes() const override { return inner_.peak_memory_bytes(); }
  Buffer allocate(std::size_t bytes) override { return inner_.allocate(bytes); }
  std::unique_ptr<UploadQueue> make_upload_queue(std::size_t slots,
                                                 std::size_t slot_bytes) override {
    return inner_.make_upload_queue(slots, slot_bytes);
  }
  void synchronize() override { inner_.synchronize(); }
  void mark(std::size_t number) override { inner_.mark(number); }
  double seconds_between(std::size_t first, std::size_t second) override {
    return inner_.seconds_between(first, second);
  }

  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void fill_zero(void* device, std::size_t bytes) override;
  void embed(const std::uint32_t* ids, ConstMatrix table, std::uint32_t first_id,
             Matrix out) override;
  void add_rms_norm(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                    Matrix out) override;
  void add_rms_norm_quantize(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                             Matrix out, const QuantizedRows& into) override;
  void add(Matrix residual, ConstMatrix delta) override;
  void rope(Matrix x, std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine) override;
  void rope_append(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim, ConstMatrix cosine,
                   ConstMatrix sine, const std::uint32_t* positions, const KvCache& cache) override;
  void attention(ConstMatrix q, ConstMatrix k, ConstMatrix v, std::size_t head_dim,
                 std::size_t sequence_length, Matrix out) override;
  void decode_attention(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim, ConstMatrix cosine,
                        ConstMatrix sine, const std::uint32_t* positions, const KvCache& cache,
                        Matrix out, const QuantizedRows& into) override;
  void cached_attention(ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
                        std::size_t head_dim, Matrix out) override;
  void silu_multiply(ConstMatrix gate, ConstMatrix up, Matrix out) override;
  void multiply(ConstMatrix x, ConstMatrix weight, Matrix out) override;
  void multiply_scaled(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                       Matrix out) override;
  void multiply_few_silu(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                         Matrix products, Matrix out, const QuantizedRows& into) override;
  void multiply_few(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                    Matrix out) override;
  void quantize_multiply_few(ConstMatrix x, const QuantizedRows& into, ConstMatrix weight,
                             Scales weight_scale, Matrix out) override;
  void quantize(ConstMatrix x, Scales scale, Matrix out) override;
  void quantize_rows(ConstMatrix x, Matrix out, float* scales) override;
  void dequantize(ConstMatrix codes, Scales scale, Matrix out) override;
  void row_errors(ConstMatrix x, ConstMatrix codes, Scales scale, RowError* errors) override;
  void row_amax(ConstMatrix x, std::uint32_t* amax) override;
  void observe(ConstMatrix x, std::size_t first_row, std::size_t sequence_length,
               const Observation& into) override;
  void softmax_partials(ConstMatrix logits, std::uint32_t first_id, const std::uint32_t* targets,
                        float* partials) override;
  void combine_partials(const float* partials, std::size_t slices, const std::uint32_t* targets,
                        std::size_t tokens, float* nll) override;
  void comparison_partials(ConstMatrix p, ConstMatrix q, std::uint32_t first_id,
                           ComparisonPartial* partials) override;
  void combine_comparison(const ComparisonPartial* partials, std::size_t slices, std::size_t tokens,
                          float* kl, std::uint8_t* same_top) override;
  void top_tokens(ConstMatrix logits, std::uint32_t first_id, TopToken* tops) override;
  void next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows, std::uint32_t* ids,
                   std::uint32_t* positions) override;
  void interleave_columns(const void* gathered, std::size_t parts, Matrix out) override;

 private:
  struct Call {
    const char* kernel;
    std::size_t m, n, k;  // of a product; else 0
    double flop, bytes;
  };

  static Call cached_attention_call(const char* kernel, const ConstMatrix& q, const KvCache& cache,
                                    const ConstMatrix& out);
  void release(void* device, std::size_t bytes) noexcept override;  // never: see allocate
  template <class Work>
  void timed(const Call& call, const Work& work);
  template <class Work>
  void timed_product(const char* kernel, const ConstMatrix& x, const ConstMatrix& weight,
                     const Matrix& out, const Work& work);
  template <class Work>
  void timed_bytes(const char* kernel, double bytes, const Work& work);

  Backend& inner_;
  bool recording_ = false;
  std::vector<Call> calls_;
};

}  // namespace fp8cal
