#include "kernels/timed_backend.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace fp8cal {
namespace {

constexpr std::size_t kStart = 0, kStop = 1;  // marks

std::size_t mark_before(std::size_t call) { return 2 + 2 * call; }
std::size_t mark_after(std::size_t call) { return mark_before(call) + 1; }

double bytes_of(const ConstMatrix& matrix) {
  return static_cast<double>(matrix.rows * matrix.cols * size_of(matrix.dtype));
}

/// Of keys k and as many values in the cache.
double bytes_kept(const ConstMatrix& k, const KvCache& cache) {
  return static_cast<double>(2 * k.rows * k.cols * size_of(cache.keys.dtype));
}

/// shape: of a product, m, n and k; else zeros.
std::string name_of(const char* kernel, const std::array<std::size_t, 3>& shape) {
  std::string name = kernel;
  char separator = ' ';
  for (const std::size_t size : shape) {
    if (size == 0) return kernel;
    name.append(1, separator).append(std::to_string(size));
    separator = 'x';
  }
  return name;
}

std::vector<KernelTime>::iterator find_kernel(KernelProfile& profile, const std::string& name) {
  return std::find_if(profile.kernels.begin(), profile.kernels.end(),
                      [&](const KernelTime& one) { return one.kernel == name; });
}

}  // namespace

double KernelProfile::other_seconds() const {
  double rest = seconds;
  for (const KernelTime& one : kernels) rest -= one.seconds;
  return std::max(0.0, rest);  // each time is rounded
}

KernelProfile& operator+=(KernelProfile& sum, const KernelProfile& summand) {
  sum.seconds += summand.seconds;
  for (const KernelTime& one : summand.kernels) {
    const auto same = find_kernel(sum, one.kernel);
    if (same == sum.kernels.end()) {
      sum.kernels.push_back(one);
      continue;
    }
    same->calls += one.calls;
    same->seconds += one.seconds;
    same->flop += one.flop;
    same->bytes += one.bytes;
  }
  std::sort(sum.kernels.begin(), sum.kernels.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.kernel < b.kernel; });
  return sum;
}

void TimedBackend::start() {
  calls_.clear();
  recording_ = true;
  inner_.mark(kStart);
}

void TimedBackend::stop() {
  inner_.mark(kStop);
  recording_ = false;
}

KernelProfile TimedBackend::profile() {
  std::map<std::string, KernelTime> kernels;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const Call& call = calls_[i];
    const std::string name = name_of(call.kernel, {call.m, call.n, call.k});
    KernelTime& sum = kernels[name];
    sum.kernel = name;
    ++sum.calls;
    sum.seconds += inner_.seconds_between(mark_before(i), mark_after(i));
    sum.flop += call.flop;
    sum.bytes += call.bytes;
  }
  KernelProfile profile;
  profile.seconds = inner_.seconds_between(kStart, kStop);
  for (const auto& [name, time] : kernels) profile.kernels.push_back(time);
  return profile;
}

template <class Work>
void TimedBackend::timed(const Call& call, const Work& work) {
  if (!recording_) return work();
  inner_.mark(mark_before(calls_.size()));
  work();
  inner_.mark(mark_after(calls_.size()));
  calls_.push_back(call);
}

template <class Work>
void TimedBackend::timed_product(const char* kernel, const ConstMatrix& x,
                                 const ConstMatrix& weight, const Matrix& out, const Work& work) {
  const double flop = 2.0 * static_cast<double>(out.rows * out.cols) * static_cast<double>(x.cols);
  const double bytes = bytes_of(x) + bytes_of(weight) + bytes_of(out);
  timed({kernel, out.rows, out.cols, x.cols, flop, bytes}, work);
}

template <class Work>
void TimedBackend::timed_bytes(const char* kernel, double bytes, const Work& work) {
  timed({kernel, 0, 0, 0, 0, bytes}, work);
}

void TimedBackend::time(const char* kernel, double bytes, const std::function<void()>& work) {
  timed_bytes(kernel, bytes, work);
}

std::unique_ptr<Recording> TimedBackend::record(const std::function<void()>& calls) {
  return inner_.record([this, calls] {
    start();
    calls();
    stop();
  });
}

void TimedBackend::upload(void* device, const void* host, std::size_t bytes) {
  timed_bytes("upload", static_cast<double>(bytes), [&] { inner_.upload(device, host, bytes); });
}

void TimedBackend::download(void* host, const void* device, std::size_t bytes) {
  timed_bytes("download", static_cast<double>(bytes),
              [&] { inner_.download(host, device, bytes); });
}

void TimedBackend::fill_zero(void* device, std::size_t bytes) {
  timed_bytes("fill_zero", static_cast<double>(bytes), [&] { inner_.fill_zero(device, bytes); });
}

void TimedBackend::embed(const std::uint32_t* ids, ConstMatrix table, std::uint32_t first_id,
                         Matrix out) {
  timed_bytes("embed", 2 * bytes_of(out), [&] { inner_.embed(ids, table, first_id, out); });
}

void TimedBackend::add_rms_norm(Matrix residual, ConstMatrix delta, ConstMatrix weight,
                                float epsilon, Matrix out) {
  // Where there is a summand, it is read and the residual written.
  const double passes = delta.data == nullptr ? 2 : 4;
  timed_bytes("add_rms_norm", passes * bytes_of(out),
              [&] { inner_.add_rms_norm(residual, delta, weight, epsilon, out); });
}

void TimedBackend::add_rms_norm_quantize(Matrix residual, ConstMatrix delta, ConstMatrix weight,
                                         float epsilon, Matrix out, const QuantizedRows& into) {
  const double passes = delta.data == nullptr ? 1 : 3;
  timed_bytes("add_rms_norm_quantize", passes * bytes_of(out) + bytes_of(into.codes),
              [&] { inner_.add_rms_norm_quantize(residual, delta, weight, epsilon, out, into); });
}

void TimedBackend::add(Matrix residual, ConstMatrix delta) {
  timed_bytes("add", 3 * bytes_of(delta), [&] { inner_.add(residual, delta); });
}

void TimedBackend::rope(Matrix x, std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine) {
  timed_bytes("rope", 2 * bytes_of(x), [&] { inner_.rope(x, head_dim, cosine, sine); });
}

void TimedBackend::rope_append(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                               ConstMatrix cosine, ConstMatrix sine, const std::uint32_t* positions,
                               const KvCache& cache) {
  const double bytes = 2 * (bytes_of(q) + bytes_of(k)) + bytes_of(v) + bytes_kept(k, cache);
  timed_bytes("rope_append", bytes,
              [&] { inner_.rope_append(q, k, v, head_dim, cosine, sine, positions, cache); });
}

void TimedBackend::attention(ConstMatrix q, ConstMatrix k, ConstMatrix v, std::size_t head_dim,
                             std::size_t sequence_length, Matrix out) {
  // Two products of each query with the keys and values that it sees: all but half of those that
  // belong to queries, on average.
  const double length = static_cast<double>(sequence_length);
  const double rows = static_cast<double>(q.rows);
  const double queries = k.rows == 0 ? 0 : rows * length / static_cast<double>(k.rows);
  const double flop = 4.0 * rows * static_cast<double>(q.cols) * (length - queries / 2);
  const double bytes = bytes_of(q) + bytes_of(k) + bytes_of(v) + bytes_of(out);
  timed({"attention", 0, 0, 0, flop, bytes},
        [&] { inner_.attention(q, k, v, head_dim, sequence_length, out); });
}

TimedBackend::Call TimedBackend::cached_attention_call(const char* kernel, const ConstMatrix& q,
                                                       const KvCache& cache,
                                                       const ConstMatrix& out) {
  const double flop =
      4.0 * static_cast<double>(q.rows * q.cols) * static_cast<double>(cache.capacity);
  const double bytes = bytes_of(q) + bytes_of(cache.keys) + bytes_of(cache.values) + bytes_of(out);
  return {kernel, 0, 0, 0, flop, bytes};
}

void TimedBackend::cached_attention(ConstMatrix q, const KvCache& cache,
                                    const std::uint32_t* positions, std::size_t head_dim,
                                    Matrix out) {
  timed(cached_attention_call("cached_attention", q, cache, out),
        [&] { inner_.cached_attention(q, cache, positions, head_dim, out); });
}

void TimedBackend::decode_attention(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                                    ConstMatrix cosine, ConstMatrix sine,
                                    const std::uint32_t* positions, const KvCache& cache,
                                    Matrix out, const QuantizedRows& into) {
  Call call = cached_attention_call("decode_attention", q, cache,
                                    into.codes.data == nullptr ? out : into.codes);
  call.bytes += bytes_of(k) + bytes_of(v) + bytes_kept(k, cache);
  timed(call, [&] {
    inner_.decode_attention(q, k, v, head_dim, cosine, sine, positions, cache, out, into);
  });
}

void TimedBackend::silu_multiply(ConstMatrix gate, ConstMatrix up, Matrix out) {
  timed_bytes("silu_multiply", 3 * bytes_of(out), [&] { inner_.silu_multiply(gate, up, out); });
}

void TimedBackend::multiply(ConstMatrix x, ConstMatrix weight, Matrix out) {
  timed_product("multiply", x, weight, out, [&] { inner_.multiply(x, weight, out); });
}

void TimedBackend::multiply_scaled(ConstMatrix x, Scales x_scale, ConstMatrix weight,
                                   Scales weight_scale, Matrix out) {
  timed_product("multiply_scaled", x, weight, out,
                [&] { inner_.multiply_scaled(x, x_scale, weight, weight_scale, out); });
}

void TimedBackend::multiply_few_silu(ConstMatrix x, Scales x_scale, ConstMatrix weight,
                                     Scales weight_scale, Matrix products, Matrix out,
                                     const QuantizedRows& into) {
  const double flop = 2.0 * static_cast<double>(x.rows * weight.rows) * static_cast<double>(x.cols);
  const bool quantizes = into.codes.data != nullptr;
  const double bytes = bytes_of(x) + bytes_of(weight) + bytes_of(quantizes ? into.codes : out);
  timed({"multiply_few_silu", x.rows, weight.rows, x.cols, flop, bytes},
        [&] { inner_.multiply_few_silu(x, x_scale, weight, weight_scale, products, out, into); });
}

void TimedBackend::multiply_few(ConstMatrix x, Scales x_scale, ConstMatrix weight,
                                Scales weight_scale, Matrix out) {
  timed_product("multiply_few", x, weight, out,
                [&] { inner_.multiply_few(x, x_scale, weight, weight_scale, out); });
}

void TimedBackend::quantize_multiply_few(ConstMatrix x, const QuantizedRows& into,
                                         ConstMatrix weight, Scales weight_scale, Matrix out) {
  timed_product("quantize_multiply_few", x, weight, out,
                [&] { inner_.quantize_multiply_few(x, into, weight, weight_scale, out); });
}

void TimedBackend::quantize(ConstMatrix x, Scales scale, Matrix out) {
  timed_bytes("quantize", bytes_of(x) + bytes_of(out), [&] { inner_.quantize(x, scale, out); });
}

void TimedBackend::quantize_rows(ConstMatrix x, Matrix out, float* scales) {
  timed_bytes("quantize_rows", bytes_of(x) + bytes_of(out),
              [&] { inner_.quantize_rows(x, out, scales); });
}

void TimedBackend::row_errors(ConstMatrix x, ConstMatrix codes, Scales scale, RowError* errors) {
  timed_bytes("row_errors", bytes_of(x) + bytes_of(codes),
              [&] { inner_.row_errors(x, codes, scale, errors); });
}

void TimedBackend::dequantize(ConstMatrix codes, Scales scale, Matrix out) {
  timed_bytes("dequantize", bytes_of(codes) + bytes_of(out),
              [&] { inner_.dequantize(codes, scale, out); });
}

void TimedBackend::row_amax(ConstMatrix x, std::uint32_t* amax) {
  timed_bytes("row_amax", bytes_of(x), [&] { inner_.row_amax(x, amax); });
}

void TimedBackend::observe(ConstMatrix x, std::size_t first_row, std::size_t sequence_length,
                           const Observation& into) {
  timed_bytes("observe", bytes_of(x), [&] { inner_.observe(x, first_row, sequence_length, into); });
}

void TimedBackend::softmax_partials(ConstMatrix logits, std::uint32_t first_id,
                                    const std::uint32_t* targets, float* partials) {
  timed_bytes("softmax_partials", bytes_of(logits),
              [&] { inner_.softmax_partials(logits, first_id, targets, partials); });
}

void TimedBackend::combine_partials(const float* partials, std::size_t slices,
                                    const std::uint32_t* targets, std::size_t tokens, float* nll) {
  const double floats = static_cast<double>((3 * slices + 1) * tokens);
  timed_bytes("combine_partials", 4 * floats,
              [&] { inner_.combine_partials(partials, slices, targets, tokens, nll); });
}

void TimedBackend::comparison_partials(ConstMatrix p, ConstMatrix q, std::uint32_t first_id,
                                       ComparisonPartial* partials) {
  timed_bytes("comparison_partials", bytes_of(p) + bytes_of(q),
              [&] { inner_.comparison_partials(p, q, first_id, partials); });
}

void TimedBackend::combine_comparison(const ComparisonPartial* partials, std::size_t slices,
                                      std::size_t tokens, float* kl, std::uint8_t* same_top) {
  const std::size_t token_bytes = slices * sizeof(ComparisonPartial) + sizeof(float) + 1;
  timed_bytes("combine_comparison", static_cast<double>(tokens * token_bytes),
              [&] { inner_.combine_comparison(partials, slices, tokens, kl, same_top); });
}

void TimedBackend::top_tokens(ConstMatrix logits, std::uint32_t first_id, TopToken* tops) {
  timed_bytes("top_tokens", bytes_of(logits), [&] { inner_.top_tokens(logits, first_id, tops); });
}

void TimedBackend::next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows,
                               std::uint32_t* ids, std::uint32_t* positions) {
  const std::size_t row_bytes = slices * sizeof(TopToken) + 3 * sizeof(std::uint32_t);
  timed_bytes("next_tokens", static_cast<double>(rows * row_bytes),
              [&] { inner_.next_tokens(tops, slices, rows, ids, positions); });
}

void TimedBackend::interleave_columns(const void* gathered, std::size_t parts, Matrix out) {
  timed_bytes("interleave_columns", 2 * bytes_of(out),
              [&] { inner_.interleave_columns(gathered, parts, out); });
}

void TimedBackend::release(void*, std::size_t) noexcept {}

}  // namespace fp8cal
