#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kernels/buffer.hpp"
#include "kernels/kv_cache.hpp"
#include "kernels/matrix.hpp"
#include "kernels/recording.hpp"
#include "kernels/scales.hpp"
#include "kernels/upload_queue.hpp"

namespace fp8cal {

/// A BF16 magnitude has 2^15 values: bin b counts the elements whose low 15 bits are b.
inline constexpr std::size_t kHistogramBins = 32768;

/// Bins from this one on hold infinities and NaNs.
inline constexpr std::size_t kFirstNonFiniteBin = 0x7F80;

/// A target that no vocabulary slice holds: the last token of a sequence predicts nothing.
inline constexpr std::uint32_t kNoTarget = 0xFFFFFFFFu;

/// Where `Backend::observe` adds to, all in device memory. A maximum of magnitudes is kept as the
/// bits of a non-negative float: these order as integers, NaN above everything.
struct Observation {
  std::uint64_t* histogram = nullptr;      // [kHistogramBins]
  std::uint32_t* channel_amax = nullptr;   // [x.cols] bits of f32
  std::uint32_t* sequence_amax = nullptr;  // [sequences] bits of f32
};

/// How a backend multiplies FP8 operands. The sums of the two may differ in their last bits.
enum class Fp8Products : std::uint8_t {
  native,       ///< as they are: the cpu backend, and GPUs with FP8 tensor cores
  dequantized,  ///< as the same numbers in BF16: other GPUs
};

/// One vocabulary slice's share of comparing two next-token distributions: the reference p, and q.
struct ComparisonPartial {
  float p_maximum;      ///< the largest logit of p in the slice
  float p_sum;          ///< sum of exp(p's logit - p_maximum)
  float weighted;       ///< sum of exp(p's logit - p_maximum) * (p's logit - q's logit)
  float q_maximum;      ///< as for p
  float q_sum;          ///< as for p
  std::uint32_t p_top;  ///< the first id with the largest logit
  std::uint32_t q_top;
};

/// Where and how a bf16 matrix is quantized as soon as it is computed. cuda may read `scale` before
/// earlier calls are done: what wrote it must be waited for.
struct QuantizedRows {
  Matrix codes;                 ///< [rows, cols] e4m3
  Scales scale;                 ///< of the whole; none: each row has its own
  float* row_scales = nullptr;  ///< [rows], which then go here

  /// Those that the codes have.
  Scales scales() const { return scale.count == 0 ? Scales{row_scales, codes.rows} : scale; }
};

/// One vocabulary slice's most likely token.
struct TopToken {
  float logit;
  std::uint32_t id;  ///< of equal logits the first
};

/// The most rows that `multiply_few` takes: a token of each sequence of a batch.
inline constexpr std::size_t kFewRows = 32;

/// What quantizing did to one row of a matrix.
struct RowError {
  double energy;          ///< sum of x^2
  double squared_error;   ///< sum of (x - code * scale)^2
  std::uint64_t flushed;  ///< elements that are not zero and became zero
};

/// Device memory in which a backend keeps dequantized operands.
inline constexpr std::size_t kDequantizedBytes = std::size_t{256} << 20;

/// Arithmetic on device memory; knows no model, rank or file.
///
/// Calls are in order, as on one stream, and may return before the work is done; `download` and
/// `synchronize` wait. All pointers are device pointers but those named host. Results depend on the
/// operands alone: not on the number of threads, the instruction set, or how rows and output
/// columns are sliced over calls. Shapes that do not fit throw std::invalid_argument.
class Backend {
 public:
  virtual ~Backend() = default;

  /// "cpu" or "cuda".
  virtual std::string name() const = 0;
  /// What computes, for the record: CPU or GPU model, instruction set, number of threads.
  virtual std::string device() const = 0;
  /// All memory of the device, in bytes; of the host for the cpu backend.
  virtual std::uint64_t memory_bytes() const = 0;
  virtual Fp8Products fp8_products() const { return Fp8Products::native; }

  /// From now on `allocate` throws where all buffers together would take more than `bytes`. To be
  /// called while there are none.
  virtual void limit_memory(std::uint64_t bytes) = 0;
  /// The most device memory in use at any time: for cpu by all buffers, for cuda by everything on
  /// the device, since the libraries take their share.
  virtual std::uint64_t peak_memory_bytes() const = 0;

  virtual Buffer allocate(std::size_t bytes) = 0;
  /// `host` may be read until `synchronize` returns: leave it unchanged for so long.
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;
  virtual void fill_zero(void* device, std::size_t bytes) = 0;
  virtual void synchronize() = 0;
  /// A queue of `slots` slots, each of slot_bytes > 0, which must not outlive the backend. Unless
  /// overridden it copies at once, for devices whose memory is the host's.
  virtual std::unique_ptr<UploadQueue> make_upload_queue(std::size_t slots, std::size_t slot_bytes);

  /// Keeps `calls`, all of this backend, to be repeated with the same operands. They are made, or
  /// not, while this runs: replay them to be sure. They must have been made once before, so that
  /// what the backend keeps for them is there; and neither allocate nor wait.
  virtual std::unique_ptr<Recording> record(const std::function<void()>& calls);

  /// Remembers this point in the order of calls under `number`, in place of what it stood for
  /// before; waits for nothing. Numbers count from 0: all up to the largest are kept.
  virtual void mark(std::size_t number) = 0;
  /// Seconds on the device from one mark to a later one; waits until that is reached.
  virtual double seconds_between(std::size_t first, std::size_t second) = 0;

  /// out[t] = table[ids[t] - first_id] where the table holds that id, else zeros.
  /// ids [tokens] u32, table [ids, hidden] bf16, out [tokens, hidden] bf16.
  virtual void embed(const std::uint32_t* ids, ConstMatrix table, std::uint32_t first_id,
                     Matrix out) = 0;

  /// residual += delta (bf16 sum; skipped where delta.data is null), then
  /// out = bf16(weight * bf16(residual / rms(residual))), the mean square in f32.
  /// residual, out [tokens, hidden] bf16; weight [1, hidden] bf16, which cuda may read before
  /// earlier calls are done; delta as in `add`.
  virtual void add_rms_norm(Matrix residual, ConstMatrix delta, ConstMatrix weight, float epsilon,
                            Matrix out) = 0;

  /// As add_rms_norm and then quantize or quantize_rows, `out` in between: a backend that does both
  /// at once may leave it unwritten. The bits of the codes are the same.
  virtual void add_rms_norm_quantize(Matrix residual, ConstMatrix delta, ConstMatrix weight,
                                     float epsilon, Matrix out, const QuantizedRows& into);

  /// residual += delta, both bf16. residual [tokens, hidden]; delta the same, or as all-gathered
  /// columns come, [parts * tokens, hidden / parts]: its row p * tokens + t holds the p-th range of
  /// hidden / parts columns of token t.
  virtual void add(Matrix residual, ConstMatrix delta) = 0;

  /// Rotates in place, rounding to bf16 after each product and after the sum as Hugging Face does.
  /// x [tokens, heads * head_dim] bf16; row r stands at position r % cosine.rows;
  /// cosine, sine [sequence_length, head_dim / 2] bf16. Pairs are (i, i + head_dim / 2).
  virtual void rope(Matrix x, std::size_t head_dim, ConstMatrix cosine, ConstMatrix sine) = 0;

  /// Rotates q and k in place as `rope` does, row r at position positions[r]; then keeps row r of k
  /// and v in the cache, at that position of sequence r / (q.rows / sequences). q [rows, q_heads *
  /// head_dim], k, v [rows, kv_heads * head_dim], all bf16; cosine, sine [positions, head_dim / 2]
  /// bf16; positions [rows] u32, below cosine.rows and the cache's capacity.
  virtual void rope_append(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                           ConstMatrix cosine, ConstMatrix sine, const std::uint32_t* positions,
                           const KvCache& cache) = 0;

  /// Causal grouped-query attention within sequences of `sequence_length` rows. Scores and softmax
  /// in f32 with scale 1 / sqrt(head_dim); probabilities are rounded to bf16 before they multiply
  /// v, normalised before (cpu) or after (cuda). k, v [tokens, kv_heads * head_dim]; q, out
  /// [tokens, q_heads * head_dim], or of each sequence only as many last rows; all bf16.
  virtual void attention(ConstMatrix q, ConstMatrix k, ConstMatrix v, std::size_t head_dim,
                         std::size_t sequence_length, Matrix out) = 0;

  /// Attention of one new token a sequence over what the cache holds: row r of q stands at
  /// positions[r] and sees its sequence up to there. As `attention`, but cuda adds parts of the
  /// keys up in an order that the cache's shape alone decides, and scales FP8 keys and values after
  /// their sums, where cpu takes them as bf16(code * scale). q, out [sequences, q_heads * head_dim]
  /// bf16; positions [sequences] u32, below the capacity.
  virtual void cached_attention(ConstMatrix q, const KvCache& cache, const std::uint32_t* positions,
                                std::size_t head_dim, Matrix out) = 0;

  /// rope_append of one new token a sequence, cached_attention of what that leaves in q, and where
  /// `into` has codes quantize or quantize_rows, like add_rms_norm_quantize. A backend that does
  /// all at once may leave q and k as they are, and where there are codes out unwritten. The bits
  /// are the same. `out` and the codes may not lie where q, k or v do. cuda may read positions,
  /// cosine and sine, and what the cache holds and scales it by, as soon as what came before the
  /// last `embed` is done: nothing since then may have written them.
  virtual void decode_attention(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                                ConstMatrix cosine, ConstMatrix sine,
                                const std::uint32_t* positions, const KvCache& cache, Matrix out,
                                const QuantizedRows& into);

  /// out = bf16(bf16(silu(gate)) * up), all [tokens, width] bf16.
  virtual void silu_multiply(ConstMatrix gate, ConstMatrix up, Matrix out) = 0;

  /// out[m, n] = bf16(sum over k of x[m, k] * weight[n, k]), accumulated in f32.
  /// x [M, K] bf16, weight [N, K] bf16, out [M, N] bf16.
  virtual void multiply(ConstMatrix x, ConstMatrix weight, Matrix out) = 0;

  /// out[m, n] = bf16(sum * (x_scale[m] * weight_scale[n])), the sum in f32 over FP8 operands.
  /// x [M, K] fp8, weight [N, K] fp8, out [M, N] bf16; scales 1 or M, and 1 or N.
  virtual void multiply_scaled(ConstMatrix x, Scales x_scale, ConstMatrix weight,
                               Scales weight_scale, Matrix out) = 0;

  /// As multiply and multiply_scaled, for at most kFewRows rows: what bounds the time is reading
  /// the weight. x and weight bf16, no scales; both e4m3, scales as multiply_scaled; or x bf16 and
  /// weight e4m3 with weight_scale, no x_scale: cpu then multiplies by bf16(code * scale), cuda
  /// scales the sum. cuda sums over k in an order of its own, which K alone decides, and may read
  /// weight and weight_scale before earlier calls are done: what wrote them must be waited for.
  virtual void multiply_few(ConstMatrix x, Scales x_scale, ConstMatrix weight, Scales weight_scale,
                            Matrix out) = 0;

  /// quantize or quantize_rows of x [M, K] bf16 like add_rms_norm_quantize, then multiply_few of
  /// that and an e4m3 weight. A backend that does both at once may leave codes and row_scales
  /// unwritten. The bits are the same.
  virtual void quantize_multiply_few(ConstMatrix x, const QuantizedRows& into, ConstMatrix weight,
                                     Scales weight_scale, Matrix out);

  /// multiply_few of a weight [2 * width, K] into products [M, 2 * width], of these the first half
  /// as gate and the other as up through silu_multiply into out [M, width], and that quantized like
  /// add_rms_norm_quantize does where into has codes. A backend that does all at once may leave
  /// products unwritten, and where there are codes out. The bits are the same. The codes may lie
  /// where products do, but not where x does; row_scales may be x_scale's, which is read before.
  virtual void multiply_few_silu(ConstMatrix x, Scales x_scale, ConstMatrix weight,
                                 Scales weight_scale, Matrix products, Matrix out,
                                 const QuantizedRows& into);

  /// out = fp8(clamp(x / scale)), one scale for the whole tensor or one a row.
  /// x [rows, cols] bf16, out [rows, cols] e4m3 or e5m2.
  virtual void quantize(ConstMatrix x, Scales scale, Matrix out) = 0;

  /// scales[r] = scale_of(amax of row r, largest value of out.dtype), then quantizes row r by it.
  /// x [rows, cols] bf16, out [rows, cols] e4m3 or e5m2, scales [rows] f32.
  virtual void quantize_rows(ConstMatrix x, Matrix out, float* scales) = 0;

  /// out = bf16(codes * scale), the product in f32: what is read from storage in FP8.
  /// codes [rows, cols] e4m3 or e5m2, out [rows, cols] bf16; scale 1 or rows.
  virtual void dequantize(ConstMatrix codes, Scales scale, Matrix out) = 0;

  /// errors[r] = what quantizing row r of x to `codes` by `scale` did, sums in f64.
  /// x [rows, cols] bf16, codes [rows, cols] e4m3 or e5m2, scale 1 or rows, errors [rows].
  virtual void row_errors(ConstMatrix x, ConstMatrix codes, Scales scale, RowError* errors) = 0;

  /// amax[r] = the bits of the largest magnitude in row r, NaN above everything.
  /// x [rows, cols] bf16, amax [rows] u32.
  virtual void row_amax(ConstMatrix x, std::uint32_t* amax) = 0;

  /// Adds x [rows, cols] bf16 to the histogram and the maxima. Row r belongs to sequence
  /// (first_row + r) / sequence_length.
  virtual void observe(ConstMatrix x, std::size_t first_row, std::size_t sequence_length,
                       const Observation& into) = 0;

  /// One vocabulary slice's share of a log-softmax, for logits [tokens, n] bf16 of the ids from
  /// first_id on: partials [tokens, 3] f32 = the maximum, the sum of exp(logit - maximum), the
  /// target's logit or -infinity where the slice does not hold targets[t].
  virtual void softmax_partials(ConstMatrix logits, std::uint32_t first_id,
                                const std::uint32_t* targets, float* partials) = 0;

  /// nll[t] = log(sum of exp(logits)) - target logit, natural log, in f32; slices are summed in
  /// order. 0 where the target is kNoTarget. partials [slices, tokens, 3] f32, targets [tokens],
  /// nll [tokens] f32.
  virtual void combine_partials(const float* partials, std::size_t slices,
                                const std::uint32_t* targets, std::size_t tokens, float* nll) = 0;

  /// One vocabulary slice's share of comparing p and q, logits [tokens, n] bf16 of the ids from
  /// first_id on. partials [tokens].
  virtual void comparison_partials(ConstMatrix p, ConstMatrix q, std::uint32_t first_id,
                                   ComparisonPartial* partials) = 0;

  /// kl[t] = sum over the vocabulary of p log(p / q), in nats, at least 0: the Kullback-Leibler
  /// divergence of q from p, slices in order, in f32. same_top[t] = 1 where the most likely id is
  /// the same, of equals the first; else 0. partials [slices, tokens], kl [tokens] f32, same_top
  /// [tokens] u8.
  virtual void combine_comparison(const ComparisonPartial* partials, std::size_t slices,
                                  std::size_t tokens, float* kl, std::uint8_t* same_top) = 0;

  /// tops[r] = the largest of logits [rows, n] bf16 in row r, of the ids from first_id on; NaNs are
  /// passed over. tops [rows].
  virtual void top_tokens(ConstMatrix logits, std::uint32_t first_id, TopToken* tops) = 0;

  /// ids[r] = the most likely of the slices' tokens, and positions[r] += 1. tops [slices, rows],
  /// ids, positions [rows] u32.
  virtual void next_tokens(const TopToken* tops, std::size_t slices, std::size_t rows,
                           std::uint32_t* ids, std::uint32_t* positions) = 0;

  /// The pieces of all-gathered columns in their places:
  /// out[r, p * n + c] = gathered[p][r][c]; gathered [parts, out.rows, n] of out.dtype, dense.
  virtual void interleave_columns(const void* gathered, std::size_t parts, Matrix out) = 0;

 private:
  friend class Buffer;
  virtual void release(void* device, std::size_t bytes) noexcept = 0;
};

struct BackendOptions {
  std::string name = "auto";  ///< "cpu", "cuda" or "auto"
  int threads = 1;            ///< of the cpu backend
  int device = 0;             ///< of the cuda backend: its ordinal among those that are visible
};

/// "auto" takes cuda where it is compiled in and a device is there, else cpu. Throws
/// std::invalid_argument where the backend is unknown, not compiled in or without that device.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace fp8cal
