#include "worker/llama.hpp"

#include "sharding/grid.hpp"
#include "worker/rope.hpp"

namespace fp8cal {

Llama::Llama(Backend& backend, Collectives& slices, const ModelConfig& config,
             std::size_t max_tokens, std::size_t max_length)
    : backend_(backend),
      slices_(slices),
      config_(config),
      workspace_(backend, config, max_tokens, slices.size()) {
  const RopeTable table = make_rope_table(config, max_length);
  const std::size_t bytes = table.cosine.size() * sizeof(std::uint16_t);
  cosine_ = backend.allocate(bytes);
  sine_ = backend.allocate(bytes);
  backend.upload(cosine_.data(), table.cosine.data(), bytes);
  backend.upload(sine_.data(), table.sine.data(), bytes);
  backend.synchronize();  // the host table ends here
}

void Llama::embed(const std::uint32_t* ids, ConstMatrix table, Matrix x) {
  const std::size_t first_id = table.rows * static_cast<std::size_t>(slices_.rank());
  backend_.embed(ids, table, static_cast<std::uint32_t>(first_id), x);
  if (slices_.size() == 1) return;
  // A token's row is zero on every slice but one: the integer sum of the bits is that row.
  slices_.all_sum(static_cast<std::uint32_t*>(x.data), x.rows * x.cols / 2);
}

void Llama::run(std::span<const Layer* const> layers, Matrix x, std::size_t sequence_length,
                Observer* observer) {
  pending_ = {};
  for (const Layer* layer : layers) {
    attention_block(*layer, x, sequence_length, observer);
    feed_forward_block(*layer, x, observer);
  }
  if (pending_.data != nullptr) backend_.add(x, pending_);
}

void Llama::attention_block(const Layer& layer, Matrix x, std::size_t sequence_length,
                            Observer* observer) {
  const std::size_t slices = static_cast<std::size_t>(slices_.size());
  const std::size_t q_cols = config_.q_rows() / slices;
  const std::size_t kv_cols = config_.kv_rows() / slices;
  const std::size_t half = config_.head_dim / 2;

  const Matrix normed = workspace_.normed(x.rows);
  backend_.add_rms_norm(x, pending_, layer.input_norm, static_cast<float>(config_.rms_norm_eps),
                        normed);
  if (observer != nullptr) observer->observe(layer.index, Site::qkv_input, normed);

  const Matrix qkv = workspace_.own_inputs(x.rows, q_cols + 2 * kv_cols);
  linear(layer.qkv, normed, qkv);
  const Matrix q = qkv.column_range(0, q_cols);
  const Matrix k = qkv.column_range(q_cols, kv_cols);
  const Matrix v = qkv.column_range(q_cols + kv_cols, kv_cols);
  const Matrix cosine = Matrix::dense(cosine_.data(), DType::bf16, sequence_length, half);
  const Matrix sine = Matrix::dense(sine_.data(), DType::bf16, sequence_length, half);
  backend_.rope(q, config_.head_dim, cosine, sine);
  backend_.rope(k, config_.head_dim, cosine, sine);
  if (observer != nullptr) {
    observer->observe(layer.index, Site::key, k);
    observer->observe(layer.index, Site::value, v);
  }

  const Matrix attended = workspace_.wide(x.rows, config_.q_rows());
  const Matrix own = own_part(attended);
  backend_.attention(q, k, v, config_.head_dim, sequence_length, own);
  gather(own, attended);
  if (observer != nullptr) observer->observe(layer.index, Site::o_input, attended);

  const Matrix delta = workspace_.delta(x.rows);
  const Matrix own_delta = own_part(delta);
  linear(layer.o, attended, own_delta);
  gather(own_delta, delta);
  pending_ = delta;
}

void Llama::feed_forward_block(const Layer& layer, Matrix x, Observer* observer) {
  const std::size_t own_inner =
      config_.intermediate_size / static_cast<std::size_t>(slices_.size());
  const Matrix normed = workspace_.normed(x.rows);
  backend_.add_rms_norm(x, pending_, layer.post_attention_norm,
                        static_cast<float>(config_.rms_norm_eps), normed);
  if (observer != nullptr) observer->observe(layer.index, Site::gate_up_input, normed);

  const Matrix gate_up = workspace_.own_inputs(x.rows, 2 * own_inner);
  linear(layer.gate_up, normed, gate_up);
  const Matrix inner = workspace_.wide(x.rows, config_.intermediate_size);
  const Matrix own = own_part(inner);
  backend_.silu_multiply(gate_up.column_range(0, own_inner),
                         gate_up.column_range(own_inner, own_inner), own);
  gather(own, inner);
  if (observer != nullptr) observer->observe(layer.index, Site::down_input, inner);

  const Matrix delta = workspace_.delta(x.rows);
  const Matrix own_delta = own_part(delta);
  linear(layer.down, inner, own_delta);
  gather(own_delta, delta);
  pending_ = delta;
}

void Llama::linear(const Linear& linear, ConstMatrix x, Matrix out) {
  if (linear.weight.dtype == DType::bf16) {
    backend_.multiply(x, linear.weight, out);
    return;
  }
  const Matrix quantized = workspace_.quantized(x.rows, x.cols);
  Scales x_scale = linear.input_scale;
  if (x_scale.data == nullptr) {
    x_scale = {workspace_.token_scales(), x.rows};
    backend_.quantize_rows(x, quantized, workspace_.token_scales());
  } else {
    backend_.quantize(x, x_scale, quantized);
  }
  backend_.multiply_scaled(quantized, x_scale, linear.weight, linear.weight_scale, out);
}

void Llama::negative_log_likelihood(Matrix x, ConstMatrix final_norm, ConstMatrix head,
                                    const std::uint32_t* targets, float* nll) {
  const std::size_t tokens = x.rows;
  const Matrix normed = workspace_.normed(tokens);
  backend_.add_rms_norm(x, {}, final_norm, static_cast<float>(config_.rms_norm_eps), normed);

  // The vocabulary is cut the same way whatever the number of ranks; partial sums are gathered, and
  // every rank adds them in the same order.
  const std::size_t slices = vocabulary_slices(config_.vocab_size);
  const std::size_t own_slices = slices / static_cast<std::size_t>(slices_.size());
  const std::size_t rows = config_.vocab_size / slices;
  const std::size_t first_row = head.rows * static_cast<std::size_t>(slices_.rank());
  const bool whole = slices_.size() == 1;
  float* own_partials = whole ? workspace_.partials() : workspace_.own_partials();
  for (std::size_t s = 0; s < own_slices; ++s) {
    const Matrix logits = workspace_.logits(tokens, rows);
    const ConstMatrix weight = {head.row<std::uint16_t>(s * rows), head.dtype, rows, head.cols,
                                head.stride};
    backend_.multiply(normed, weight, logits);
    backend_.softmax_partials(logits, static_cast<std::uint32_t>(first_row + s * rows), targets,
                              own_partials + s * tokens * 3);
  }
  if (!whole) {
    slices_.all_gather(own_partials, workspace_.partials(),
                       own_slices * tokens * 3 * sizeof(float));
  }
  backend_.combine_partials(workspace_.partials(), slices, targets, tokens, nll);
}

Matrix Llama::own_part(Matrix whole) const {
  if (slices_.size() == 1) return whole;
  return workspace_.own_result(whole.rows, whole.cols / static_cast<std::size_t>(slices_.size()));
}

void Llama::gather(Matrix own, Matrix whole) {
  if (slices_.size() == 1) return;
  slices_.all_gather(own.data, workspace_.gathered(), own.rows * own.cols * size_of(own.dtype));
  backend_.interleave_columns(workspace_.gathered(), static_cast<std::size_t>(slices_.size()),
                              whole);
}

}  // namespace fp8cal
