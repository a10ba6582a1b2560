#include "worker/decoder.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "sharding/grid.hpp"
#include "worker/embedding.hpp"
#include "worker/quantized_input.hpp"

namespace fp8cal {
namespace {

/// Whether products of many rows take weights in FP8 as BF16.
bool widens(std::span<const Layer> layers) {
  const auto meets_bf16 = [](const Layer& layer) {
    return layer.qkv.weight.dtype != DType::bf16 && layer.qkv.input == Recipe::Input::bf16;
  };
  return std::any_of(layers.begin(), layers.end(), meets_bf16);
}

/// Whether inputs are cast by what computes them: of few rows, where a kernel of its own would take
/// longer to start than to run. Of many rows casting is worth seeing apart, and costs little more.
bool casts_at_once(const Linear& linear, std::size_t rows) {
  return rows <= kFewRows && linear.weight.dtype != DType::bf16 &&
         linear.input != Recipe::Input::bf16;
}

/// Whether a product casts its input itself: one row, whose scale is known only when all of it is
/// there, so that what computes it could not.
bool product_casts(const Linear& linear, std::size_t rows) {
  return rows == 1 && casts_at_once(linear, rows) && linear.input == Recipe::Input::per_token;
}

}  // namespace

Decoder::Decoder(Backend& backend, Collectives& slices, const ModelConfig& config,
                 const DecoderWeights& weights, const DecoderShape& shape)
    : backend_(backend),
      slices_(slices),
      config_(config),
      weights_(weights),
      shape_(shape),
      parts_(static_cast<std::size_t>(slices.size())),
      bytes_(decoder_bytes(config, shape, slices.size(), widens(weights.layers))),
      workspace_(backend, config, bytes_.workspace),
      caches_(backend, weights.layers.size(), shape, bytes_.kept, config.kv_rows() / parts_),
      rope_(backend, config, shape.capacity),
      hidden_(backend.allocate(bytes_.hidden)),
      prompt_(backend.allocate(bytes_.prompt)),
      targets_(backend.allocate(bytes_.targets)),
      nll_(backend.allocate(bytes_.nll)),
      places_(backend.allocate(bytes_.places)),
      ids_(backend.allocate(bytes_.ids)),
      positions_(backend.allocate(bytes_.ids)),
      logits_(backend.allocate(bytes_.logits)),
      own_tops_(backend.allocate(bytes_.own_tops)),
      tops_(backend.allocate(bytes_.tops)),
      wide_keys_(backend.allocate(bytes_.wide_kept)),
      wide_values_(backend.allocate(bytes_.wide_kept)),
      wide_weight_(backend.allocate(bytes_.wide_weight)) {
  if (shape.chunk > 0 && shape.sequences != 1) {
    throw std::invalid_argument("decoder: prompts: expected 1 sequence, found " +
                                std::to_string(shape.sequences));
  }
  std::vector<std::uint32_t> places(shape.capacity);
  std::iota(places.begin(), places.end(), 0u);
  backend.upload(places_.data(), places.data(), bytes_.places);
  backend.fill_zero(ids_.data(), bytes_.ids);
  backend.fill_zero(positions_.data(), bytes_.ids);
  backend.synchronize();  // the host copy ends here
}

void Decoder::prefill(std::span<const std::uint32_t> prompt) {
  const std::size_t length = prompt.size();
  if (shape_.chunk == 0 || length == 0 || length > shape_.capacity) {
    throw std::invalid_argument("decoder: prompt: expected 1 to " +
                                std::to_string(shape_.chunk == 0 ? 0 : shape_.capacity) +
                                " tokens, found " + std::to_string(length));
  }
  backend_.upload(prompt_.data(), prompt.data(), prompt.size_bytes());
  Matrix last{};
  for (std::size_t first = 0; first < length; first += shape_.chunk) {
    const std::size_t count = std::min(shape_.chunk, length - first);
    const Matrix x = run(prompt_rows(first, count));
    last = x.row_range(count - 1, 1);
    if (first + count == length) backend_.add(x, pending_);
  }
  // One less than the length: choosing the token counts it.
  backend_.interleave_columns(places_.as<std::uint32_t>() + length - 1, 1,
                              Matrix::dense(positions_.data(), DType::f32, 1, 1));
  const Matrix normed = workspace_.normed(1);
  backend_.add_rms_norm(last, {}, weights_.final_norm, static_cast<float>(config_.rms_norm_eps),
                        normed);
  choose_tokens(normed);
}

void Decoder::step() {
  const Matrix x = run({ids(), positions(), shape_.sequences, 0});
  const Matrix normed = workspace_.normed(x.rows);
  backend_.add_rms_norm(x, pending_, weights_.final_norm, static_cast<float>(config_.rms_norm_eps),
                        normed);
  choose_tokens(normed);
}

void Decoder::set_tokens(std::span<const std::uint32_t> ids) {
  if (ids.size() != shape_.sequences) {
    throw std::invalid_argument("decoder: tokens: expected " + std::to_string(shape_.sequences) +
                                ", found " + std::to_string(ids.size()));
  }
  backend_.upload(ids_.data(), ids.data(), ids.size_bytes());
  backend_.synchronize();
}

void Decoder::set_positions(std::uint32_t position) {
  const std::vector<std::uint32_t> all(shape_.sequences, position);
  backend_.upload(positions_.data(), all.data(), bytes_.ids);
  backend_.synchronize();
}

std::vector<std::uint32_t> Decoder::tokens() const {
  std::vector<std::uint32_t> ids(shape_.sequences);
  slices_.wait();
  backend_.download(ids.data(), ids_.data(), bytes_.ids);
  return ids;
}

void Decoder::fill() {
  const ConstMatrix& table = weights_.embedding;
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    const KvCache cache = caches_.of(i, weights_.layers[i].kv);
    for (const Matrix& kept : {cache.keys, cache.values}) {
      const std::size_t most = table.rows * table.cols / kept.cols;
      for (std::size_t row = 0; row < kept.rows; row += most) {
        const Matrix part = kept.row_range(row, std::min(most, kept.rows - row));
        const ConstMatrix from = {table.data, table.dtype, part.rows, part.cols, part.cols};
        if (kept.dtype == DType::bf16) {
          backend_.interleave_columns(from.data, 1, part);
        } else {
          backend_.quantize(from, {cache.key_scale.data, 1}, part);
        }
      }
    }
  }
}

std::vector<float> Decoder::score(std::span<const std::uint32_t> tokens, std::size_t at_once) {
  const std::size_t most = std::max<std::size_t>(1, shape_.chunk);
  if (shape_.sequences != 1 || tokens.size() > shape_.capacity || at_once == 0 || at_once > most) {
    throw std::invalid_argument("decoder: score: expected one sequence of at most " +
                                std::to_string(shape_.capacity) + " tokens, 1 to " +
                                std::to_string(most) + " at once, found " +
                                std::to_string(tokens.size()) + ", " + std::to_string(at_once));
  }
  backend_.upload(prompt_.data(), tokens.data(), tokens.size_bytes());
  std::vector<float> scores(tokens.size());
  std::vector<std::uint32_t> targets(tokens.begin(), tokens.end());
  targets.push_back(kNoTarget);
  for (std::size_t first = 0; first < tokens.size(); first += at_once) {
    const std::size_t count = std::min(at_once, tokens.size() - first);
    Rows rows = prompt_rows(first, count);
    if (at_once == 1) rows.end = 0;
    const Matrix x = run(rows);
    backend_.upload(targets_.data(), targets.data() + first + 1, count * sizeof(std::uint32_t));
    score_rows(x, targets_.as<std::uint32_t>(), nll_.as<float>());
    slices_.wait();
    backend_.download(scores.data() + first, nll_.data(), count * sizeof(float));
  }
  if (!scores.empty()) scores.pop_back();  // the last token predicts nothing
  return scores;
}

Decoder::Rows Decoder::prompt_rows(std::size_t first, std::size_t count) const {
  return {prompt_.as<std::uint32_t>() + first, places_.as<std::uint32_t>() + first, count,
          first + count};
}

Matrix Decoder::run(const Rows& rows) {
  const Matrix x = Matrix::dense(hidden_.data(), DType::bf16, rows.count, config_.hidden_size);
  embed_tokens(backend_, slices_, rows.ids, weights_.embedding, x);
  pending_ = {};
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    attend(i, rows, x);
    feed_forward(weights_.layers[i], x);
  }
  return x;
}

void Decoder::attend(std::size_t i, const Rows& rows, Matrix x) {
  const Layer& layer = weights_.layers[i];
  const std::size_t q_cols = config_.q_rows() / parts_;
  const std::size_t kv_cols = config_.kv_rows() / parts_;
  const Matrix qkv = workspace_.own_inputs(x.rows, q_cols + 2 * kv_cols);
  linear(layer.qkv, normed(layer.qkv, layer.input_norm, x), qkv);
  const Matrix q = qkv.column_range(0, q_cols), k = qkv.column_range(q_cols, kv_cols);
  const Matrix v = qkv.column_range(q_cols + kv_cols, kv_cols);
  const ConstMatrix cosine = rope_.cosine(shape_.capacity), sine = rope_.sine(shape_.capacity);
  const KvCache cache = caches_.of(i, layer.kv);
  const Matrix attended = workspace_.wide(x.rows, config_.q_rows());
  const Matrix own = own_part(attended);
  if (rows.end == 0) {
    QuantizedRows into;
    const bool known_scale = layer.o.input == Recipe::Input::per_tensor;
    const bool casts = parts_ == 1 && known_scale && casts_at_once(layer.o, x.rows);
    if (casts) into = quantized_rows(layer.o, x.rows, attended.cols, workspace_);
    backend_.decode_attention(q, k, v, config_.head_dim, cosine, sine, rows.positions, cache, own,
                              into);
    if (casts) return add_later(layer.o, {into.codes, into.scales()});
  } else {
    backend_.rope_append(q, k, v, config_.head_dim, cosine, sine, rows.positions, cache);
    backend_.attention(q, whole(cache.keys, cache.key_scale, rows.end, wide_keys_),
                       whole(cache.values, cache.value_scale, rows.end, wide_values_),
                       config_.head_dim, rows.end, own);
  }
  gather(own, attended);
  add_later(layer.o, quantized(layer.o, attended));
}

void Decoder::feed_forward(const Layer& layer, Matrix x) {
  const std::size_t own_inner = config_.intermediate_size / parts_;
  const Matrix gate_up = workspace_.own_inputs(x.rows, 2 * own_inner);
  const Matrix inner = workspace_.wide(x.rows, config_.intermediate_size);
  const Matrix own = own_part(inner);
  const Input input = normed(layer.gate_up, layer.post_attention_norm, x);
  if (x.rows <= kFewRows) {
    QuantizedRows into;
    const bool casts =
        parts_ == 1 && casts_at_once(layer.down, x.rows) && !product_casts(layer.down, x.rows);
    if (casts) {
      into = quantized_rows(layer.down, inner.rows, inner.cols, workspace_);
      // Not in the workspace's place for them: the input's codes are there.
      into.codes = Matrix::dense(gate_up.data, into.codes.dtype, inner.rows, inner.cols);
    }
    backend_.multiply_few_silu(input.x, input.scale, layer.gate_up.weight,
                               layer.gate_up.weight_scale, gate_up, own, into);
    if (casts) return add_later(layer.down, {into.codes, into.scales()});
  } else {
    linear(layer.gate_up, input, gate_up);
    backend_.silu_multiply(gate_up.column_range(0, own_inner),
                           gate_up.column_range(own_inner, own_inner), own);
  }
  gather(own, inner);
  add_later(layer.down, quantized(layer.down, inner));
}

Decoder::Input Decoder::normed(const Linear& linear, ConstMatrix norm, Matrix x) {
  const Matrix out = workspace_.normed(x.rows);
  const float epsilon = static_cast<float>(config_.rms_norm_eps);
  if (casts_at_once(linear, x.rows)) {
    const QuantizedRows into = quantized_rows(linear, x.rows, x.cols, workspace_);
    backend_.add_rms_norm_quantize(x, pending_, norm, epsilon, out, into);
    return {into.codes, into.scales()};
  }
  backend_.add_rms_norm(x, pending_, norm, epsilon, out);
  return quantized(linear, out);
}

Decoder::Input Decoder::quantized(const Linear& linear, ConstMatrix x) {
  const bool plain = linear.weight.dtype == DType::bf16 || linear.input == Recipe::Input::bf16;
  if (plain || product_casts(linear, x.rows)) return {x, {}};
  const auto [codes, scale] = quantize_input(backend_, linear, x, workspace_);
  return {codes, scale};
}

ConstMatrix Decoder::whole(Matrix kept, Scales scales, std::size_t end, const Buffer& wide) {
  const Matrix before = kept.row_range(0, end);
  if (kept.dtype == DType::bf16) return before;
  const Matrix out = Matrix::dense(wide.data(), DType::bf16, end, kept.cols);
  const std::size_t width = kept.cols / scales.count;  // columns that share a scale
  for (std::size_t part = 0; part < scales.count; ++part) {
    backend_.dequantize(before.column_range(part * width, width), {scales.data + part, 1},
                        out.column_range(part * width, width));
  }
  return out;
}

void Decoder::linear(const Linear& linear, const Input& input, Matrix out) {
  const ConstMatrix& weight = linear.weight;
  if (weight.dtype == DType::bf16) {
    multiply(input.x, weight, out);
  } else if (input.x.dtype == DType::bf16 && product_casts(linear, input.x.rows)) {
    const QuantizedRows into = quantized_rows(linear, input.x.rows, input.x.cols, workspace_);
    backend_.quantize_multiply_few(input.x, into, weight, linear.weight_scale, out);
  } else if (input.x.rows <= kFewRows) {
    backend_.multiply_few(input.x, input.scale, weight, linear.weight_scale, out);
  } else if (input.x.dtype != DType::bf16) {
    backend_.multiply_scaled(input.x, input.scale, weight, linear.weight_scale, out);
  } else {
    const Matrix wide = Matrix::dense(wide_weight_.data(), DType::bf16, weight.rows, weight.cols);
    backend_.dequantize(weight, linear.weight_scale, wide);
    backend_.multiply(input.x, wide, out);
  }
}

/// All of BF16.
void Decoder::multiply(ConstMatrix x, ConstMatrix weight, Matrix out) {
  if (x.rows <= kFewRows) {
    backend_.multiply_few(x, {}, weight, {}, out);
  } else {
    backend_.multiply(x, weight, out);
  }
}

void Decoder::choose_tokens(ConstMatrix normed) {
  const ConstMatrix& head = weights_.head;
  const std::size_t first_id = head.rows * static_cast<std::size_t>(slices_.rank());
  const Matrix logits = Matrix::dense(logits_.data(), DType::bf16, normed.rows, head.rows);
  multiply(normed, head, logits);
  TopToken* own = (parts_ == 1 ? tops_ : own_tops_).as<TopToken>();
  backend_.top_tokens(logits, static_cast<std::uint32_t>(first_id), own);
  if (parts_ > 1) slices_.all_gather(own, tops_.data(), normed.rows * sizeof(TopToken));
  backend_.next_tokens(tops_.as<TopToken>(), parts_, normed.rows, ids_.as<std::uint32_t>(),
                       positions_.as<std::uint32_t>());
}

/// Slices of the vocabulary, and the order of their sums, are those of Llama::score.
void Decoder::score_rows(Matrix x, std::uint32_t* targets, float* nll) {
  const Matrix normed = workspace_.normed(x.rows);
  backend_.add_rms_norm(x, pending_, weights_.final_norm, static_cast<float>(config_.rms_norm_eps),
                        normed);
  const std::size_t slices = vocabulary_slices(config_.vocab_size);
  const std::size_t own_slices = slices / parts_;
  const std::size_t rows = config_.vocab_size / slices;
  const std::size_t first_row = weights_.head.rows * static_cast<std::size_t>(slices_.rank());
  float* own = parts_ == 1 ? workspace_.partials() : workspace_.own_partials();
  for (std::size_t s = 0; s < own_slices; ++s) {
    const Matrix logits = workspace_.logits(x.rows, rows);
    multiply(normed, weights_.head.row_range(s * rows, rows), logits);
    backend_.softmax_partials(logits, static_cast<std::uint32_t>(first_row + s * rows), targets,
                              own + s * x.rows * 3);
  }
  if (parts_ > 1) {
    slices_.all_gather(own, workspace_.partials(), own_slices * x.rows * 3 * sizeof(float));
  }
  backend_.combine_partials(workspace_.partials(), slices, targets, x.rows, nll);
}

Matrix Decoder::own_part(Matrix whole) const {
  return parts_ == 1 ? whole : workspace_.own_result(whole.rows, whole.cols / parts_);
}

void Decoder::gather(Matrix own, Matrix whole) {
  if (parts_ == 1) return;
  slices_.all_gather(own.data, workspace_.gathered(), own.rows * own.cols * size_of(own.dtype));
  backend_.interleave_columns(workspace_.gathered(), parts_, whole);
}

void Decoder::add_later(const Linear& linear, const Input& input) {
  const std::size_t rows = input.x.rows;
  if (parts_ == 1) {
    const Matrix delta = workspace_.delta(rows);
    this->linear(linear, input, delta);
    pending_ = delta;
    return;
  }
  const Matrix own = workspace_.own_result(rows, config_.hidden_size / parts_);
  this->linear(linear, input, own);
  slices_.all_gather(own.data, workspace_.gathered(), own.rows * own.cols * size_of(own.dtype));
  pending_ = Matrix::dense(workspace_.gathered(), DType::bf16, parts_ * rows, own.cols);
}

}  // namespace fp8cal
