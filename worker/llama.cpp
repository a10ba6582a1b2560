#include "worker/llama.hpp"

#include "sharding/grid.hpp"
#include "sharding/vital_signs.hpp"
#include "sharding/workspace_bytes.hpp"
#include "worker/embedding.hpp"
#include "worker/quantized_input.hpp"

namespace fp8cal {

Llama::Llama(Backend& backend, Collectives& slices, const ModelConfig& config, const Workload& work)
    : backend_(backend),
      slices_(slices),
      config_(config),
      rope_(backend, config, work.max_length()) {
  const int lanes = lanes_of(work.microbatch, slices.size());
  const std::size_t parts = static_cast<std::size_t>(lanes);
  const std::size_t lane_tokens = (work.microbatch + parts - 1) / parts * work.max_length();
  const WorkspaceBytes lane_bytes =
      workspace_bytes(config, lane_tokens, slices.size(), work.compares);
  for (int i = 0; i < lanes; ++i) lanes_.push_back({i, Workspace(backend, config, lane_bytes)});
}

void Llama::embed(const std::uint32_t* ids, ConstMatrix table, Matrix x) {
  embed_tokens(backend_, slices_, ids, table, x);
}

void Llama::run(std::span<const Layer* const> layers, Matrix x, std::size_t sequence_length,
                Observer* observer) {
  const std::span<Lane> lanes = split(x, sequence_length);
  for (const Layer* layer : layers) {
    tell_layer(layer->index);
    const Step step = {*layer, sequence_length, observer};
    for (Lane& lane : lanes) attend(step, lane);
    for (Lane& lane : lanes) project(step, lane);
    for (Lane& lane : lanes) widen(step, lane);
    for (Lane& lane : lanes) narrow(step, lane);
  }
  for (Lane& lane : lanes) {
    end_gather(lane);
    if (lane.pending.data != nullptr) backend_.add(lane.x, lane.pending);
  }
}

std::span<Llama::Lane> Llama::split(Matrix x, std::size_t sequence_length) {
  const std::size_t sequences = x.rows / sequence_length;
  const int count = lanes_of(sequences, slices_.size());
  for (int i = 0; i < count; ++i) {
    const Range share = share_of(sequences, count, i);
    Lane& lane = lanes_[static_cast<std::size_t>(i)];
    lane.first_row = share.first * sequence_length;
    lane.x = x.row_range(lane.first_row, share.count * sequence_length);
    lane.pending = {};
  }
  return std::span(lanes_).first(static_cast<std::size_t>(count));
}

void Llama::attend(const Step& step, Lane& lane) {
  const std::size_t slices = static_cast<std::size_t>(slices_.size());
  const std::size_t tokens = lane.x.rows;
  const std::size_t q_cols = config_.q_rows() / slices;
  const std::size_t kv_cols = config_.kv_rows() / slices;
  end_gather(lane);

  const Matrix normed = lane.workspace.normed(tokens);
  backend_.add_rms_norm(lane.x, lane.pending, step.layer.input_norm,
                        static_cast<float>(config_.rms_norm_eps), normed);
  observe(step, lane, Site::qkv_input, normed);

  const Matrix qkv = lane.workspace.own_inputs(tokens, q_cols + 2 * kv_cols);
  linear(step.layer.qkv, normed, qkv, lane);
  const Matrix q = qkv.column_range(0, q_cols);
  const Matrix k = qkv.column_range(q_cols, kv_cols);
  const Matrix v = qkv.column_range(q_cols + kv_cols, kv_cols);
  backend_.rope(qkv.column_range(0, q_cols + kv_cols), config_.head_dim,
                rope_.cosine(step.sequence_length), rope_.sine(step.sequence_length));
  observe(step, lane, Site::key, k);
  observe(step, lane, Site::value, v);
  round_kv(lane, k, step.layer.kv.dtype, step.layer.kv.key);
  round_kv(lane, v, step.layer.kv.dtype, step.layer.kv.value);

  const Matrix attended = lane.workspace.wide(tokens, config_.q_rows());
  const Matrix own = own_part(lane, attended);
  backend_.attention(q, k, v, config_.head_dim, step.sequence_length, own);
  begin_gather(lane, own, attended);
}

void Llama::project(const Step& step, Lane& lane) {
  const std::size_t tokens = lane.x.rows;
  end_gather(lane);
  const Matrix attended = lane.workspace.wide(tokens, config_.q_rows());
  observe(step, lane, Site::o_input, attended);

  add_later(lane, step.layer.o, attended);
}

void Llama::widen(const Step& step, Lane& lane) {
  const std::size_t tokens = lane.x.rows;
  const std::size_t own_inner =
      config_.intermediate_size / static_cast<std::size_t>(slices_.size());
  end_gather(lane);

  const Matrix normed = lane.workspace.normed(tokens);
  backend_.add_rms_norm(lane.x, lane.pending, step.layer.post_attention_norm,
                        static_cast<float>(config_.rms_norm_eps), normed);
  observe(step, lane, Site::gate_up_input, normed);

  const Matrix gate_up = lane.workspace.own_inputs(tokens, 2 * own_inner);
  linear(step.layer.gate_up, normed, gate_up, lane);
  const Matrix inner = lane.workspace.wide(tokens, config_.intermediate_size);
  const Matrix own = own_part(lane, inner);
  backend_.silu_multiply(gate_up.column_range(0, own_inner),
                         gate_up.column_range(own_inner, own_inner), own);
  begin_gather(lane, own, inner);
}

void Llama::narrow(const Step& step, Lane& lane) {
  const std::size_t tokens = lane.x.rows;
  end_gather(lane);
  const Matrix inner = lane.workspace.wide(tokens, config_.intermediate_size);
  observe(step, lane, Site::down_input, inner);

  add_later(lane, step.layer.down, inner);
}

void Llama::observe(const Step& step, const Lane& lane, Site site, ConstMatrix x) {
  if (step.observer != nullptr) step.observer->observe(step.layer.index, site, x, lane.first_row);
}

void Llama::round_kv(const Lane& lane, Matrix x, DType dtype, Scales scales) {
  if (scales.data == nullptr) return;
  const std::size_t width = x.cols / scales.count;
  for (std::size_t part = 0; part < scales.count; ++part) {
    const Matrix own = x.column_range(part * width, width);
    const Scales scale = {scales.data + part, 1};
    const Matrix codes = lane.workspace.quantized(own.rows, own.cols, dtype);
    backend_.quantize(own, scale, codes);
    backend_.dequantize(codes, scale, own);
  }
}

void Llama::linear(const Linear& linear, ConstMatrix x, Matrix out, Lane& lane) {
  if (linear.weight.dtype == DType::bf16) {
    backend_.multiply(x, linear.weight, out);
    return;
  }
  const QuantizedInput quantized = quantize_input(backend_, linear, x, lane.workspace);
  backend_.multiply_scaled(quantized.codes, quantized.scale, linear.weight, linear.weight_scale,
                           out);
}

void Llama::score(const Predictions& predictions, std::size_t sequence_length,
                  const TokenScores& into) {
  const std::span<Lane> lanes = split(predictions.x, sequence_length);
  for (Lane& lane : lanes) score_slices(lane, predictions);
  for (Lane& lane : lanes) {
    if (slices_.size() > 1) slices_.end_gather(lane.index);
    backend_.combine_partials(lane.workspace.partials(), vocabulary_slices(config_.vocab_size),
                              predictions.targets + lane.first_row, lane.x.rows,
                              into.nll + lane.first_row);
    if (predictions.reference.data != nullptr) compare(lane, into);
  }
}

/// The vocabulary is cut the same way whatever the number of ranks; partial sums are gathered, and
/// every rank adds them in the same order.
void Llama::score_slices(Lane& lane, const Predictions& predictions) {
  const std::size_t tokens = lane.x.rows;
  const float epsilon = static_cast<float>(config_.rms_norm_eps);
  const bool compares = predictions.reference.data != nullptr;
  const Matrix normed = lane.workspace.normed(tokens);
  backend_.add_rms_norm(lane.x, {}, predictions.final_norm, epsilon, normed);
  const Matrix reference = lane.workspace.reference_normed(tokens);
  if (compares) {
    backend_.add_rms_norm(predictions.reference.row_range(lane.first_row, tokens), {},
                          predictions.final_norm, epsilon, reference);
  }

  const ConstMatrix& head = predictions.head;
  const std::size_t slices = vocabulary_slices(config_.vocab_size);
  const std::size_t own_slices = slices / static_cast<std::size_t>(slices_.size());
  const std::size_t rows = config_.vocab_size / slices;
  const std::size_t first_row = head.rows * static_cast<std::size_t>(slices_.rank());
  const bool whole = slices_.size() == 1;
  float* partials = whole ? lane.workspace.partials() : lane.workspace.own_partials();
  ComparisonPartial* comparison =
      whole ? lane.workspace.comparison() : lane.workspace.own_comparison();
  for (std::size_t s = 0; s < own_slices; ++s) {
    const std::uint32_t first_id = static_cast<std::uint32_t>(first_row + s * rows);
    const ConstMatrix weight = head.row_range(s * rows, rows);
    const Matrix logits = lane.workspace.logits(tokens, rows);
    backend_.multiply(normed, weight, logits);
    backend_.softmax_partials(logits, first_id, predictions.targets + lane.first_row,
                              partials + s * tokens * 3);
    if (!compares) continue;
    const Matrix reference_logits = lane.workspace.reference_logits(tokens, rows);
    backend_.multiply(reference, weight, reference_logits);
    backend_.comparison_partials(reference_logits, logits, first_id, comparison + s * tokens);
  }
  if (whole) return;
  slices_.begin_gather(partials, lane.workspace.partials(), own_slices * tokens * 3 * sizeof(float),
                       lane.index);
}

void Llama::compare(Lane& lane, const TokenScores& into) {
  const std::size_t tokens = lane.x.rows;
  const std::size_t slices = vocabulary_slices(config_.vocab_size);
  if (slices_.size() > 1) {
    slices_.all_gather(
        lane.workspace.own_comparison(), lane.workspace.comparison(),
        slices / static_cast<std::size_t>(slices_.size()) * tokens * sizeof(ComparisonPartial));
  }
  backend_.combine_comparison(lane.workspace.comparison(), slices, tokens, into.kl + lane.first_row,
                              into.same_top + lane.first_row);
}

void Llama::add_later(Lane& lane, const Linear& linear, ConstMatrix x) {
  const std::size_t slices = static_cast<std::size_t>(slices_.size());
  if (slices == 1) {
    const Matrix delta = lane.workspace.delta(x.rows);
    this->linear(linear, x, delta, lane);
    lane.pending = delta;
    return;
  }
  const Matrix own = lane.workspace.own_result(x.rows, config_.hidden_size / slices);
  this->linear(linear, x, own, lane);
  begin_gather(lane, own, {});
  lane.pending =
      ConstMatrix(Matrix::dense(lane.workspace.gathered(), DType::bf16, slices * x.rows, own.cols));
}

Matrix Llama::own_part(const Lane& lane, Matrix whole) const {
  if (slices_.size() == 1) return whole;
  return lane.workspace.own_result(whole.rows,
                                   whole.cols / static_cast<std::size_t>(slices_.size()));
}

void Llama::begin_gather(Lane& lane, Matrix own, Matrix whole) {
  if (slices_.size() == 1) return;
  slices_.begin_gather(own.data, lane.workspace.gathered(),
                       own.rows * own.cols * size_of(own.dtype), lane.index);
  lane.gathers = true;
  lane.whole = whole;
}

void Llama::end_gather(Lane& lane) {
  if (!lane.gathers) return;
  slices_.end_gather(lane.index);
  lane.gathers = false;
  if (lane.whole.data == nullptr) return;
  backend_.interleave_columns(lane.workspace.gathered(), static_cast<std::size_t>(slices_.size()),
                              lane.whole);
}

}  // namespace fp8cal
