#include "worker/shard_worker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sharding/vital_signs.hpp"
#include "worker/row_maxima.hpp"

namespace fp8cal {
namespace {

std::string layers_text(Range layers) {
  return layers.count == 1 ? fmt::format("layer {}", layers.first)
                           : fmt::format("layers {}-{}", layers.first, layers.end() - 1);
}

/// Where the linear modules stand among a layer's targets: norms stand between them.
constexpr std::size_t kTargetOfModule[kLinearModules] = {1, 2, 3, 4, 6, 7, 8};

/// What each token of the windows should be followed by; the last of a window by nothing.
std::vector<std::uint32_t> targets_of(const std::uint32_t* ids, std::size_t tokens,
                                      std::size_t length) {
  std::vector<std::uint32_t> targets(tokens, kNoTarget);
  for (std::size_t t = 0; t + 1 < tokens; ++t) {
    if ((t + 1) % length != 0) targets[t] = ids[t + 1];
  }
  return targets;
}

/// Chunks of at most `at_once` of the layers `own`, of which one begins with `first`.
std::vector<Range> chunks_of(Range own, std::size_t at_once, std::size_t first) {
  std::vector<Range> chunks;
  for (std::size_t layer = own.first; layer < own.end(); layer = chunks.back().end()) {
    const std::size_t end = layer < first ? std::min(first, own.end()) : own.end();
    chunks.push_back({layer, std::min(at_once, end - layer)});
  }
  return chunks;
}

}  // namespace

ShardWorker::ShardWorker(const ShardContext& context)
    : context_(context),
      chunks_(chunks_of(context.rank.layers, context.plan.layers_at_once, context.first_layer)),
      llama_(context.backend, *context.groups.slices, context.config, context.work),
      loader_(context.checkpoint, context.backend, context.config, context.plan, context.rank,
              context.threads) {
  Backend& backend = context_.backend;
  const ModelConfig& config = context_.config;
  const std::size_t tokens = context_.work.max_tokens();
  ids_ = backend.allocate(tokens * sizeof(std::uint32_t));
  targets_ = backend.allocate(tokens * sizeof(std::uint32_t));
  nll_device_ = backend.allocate(tokens * sizeof(float));
  hidden_ = backend.allocate(tokens * config.hidden_size * 2);
  if (context_.work.compares && context_.rank.predicts) {
    const std::size_t kept = context_.plan.keeps_reference ? most_of_a_share(context_.evaluation) *
                                                                 context_.work.evaluation_length
                                                           : tokens;
    reference_ = backend.allocate(kept * config.hidden_size * 2);
    kl_device_ = backend.allocate(tokens * sizeof(float));
    same_top_device_ = backend.allocate(tokens);
  }
  load_ends();
  if (chunks() > 0) fetch(0);
}

void ShardWorker::load_ends() {
  const ModelConfig& config = context_.config;
  const RankPlan& rank = context_.rank;
  const int slices = context_.plan.grid.tensor;
  std::vector<ShardTarget> ends;
  const auto add = [&](Buffer& into, WeightShard shard) {
    into = context_.backend.allocate(shard.bytes());
    ends.push_back(shard_at(into.data(), std::move(shard)));
  };
  const bool shared = config.tie_word_embeddings && rank.embeds;
  if (rank.embeds) add(embedding_, embedding_shard(config, slices, rank.slice));
  if (rank.predicts) {
    add(final_norm_, final_norm_shard(config));
    if (!shared) add(head_, head_shard(config, slices, rank.slice));
  }
  loader_.begin(ends);
  loader_.wait(ends.size());
  row_maxima(context_.backend, ends);  // refuses infinities and NaNs
}

void ShardWorker::load(std::size_t index) {
  chunk_ = index;
  weights_ = std::exchange(fetched_, {});
  const Range layers = loaded_layers();
  context_.progress.begin("load " + layers_text(layers), "layers", layers.count, 0);
  std::size_t shards = 0;
  for (const auto& layer : weights_) {
    shards += layer->targets().size();
    loader_.wait(shards);
    layer->measure(context_.backend);
    context_.progress.advance(1);
  }
  context_.progress.end();
  if (index + 1 < chunks()) fetch(index + 1);
}

void ShardWorker::fetch(std::size_t index) {
  const Range layers = chunks_[index];
  std::vector<ShardTarget> targets;
  for (std::size_t layer = layers.first; layer < layers.end(); ++layer) {
    fetched_.push_back(std::make_unique<LayerWeights>(
        context_.backend, context_.config, layer, context_.plan.grid.tensor, context_.rank.slice));
    const std::vector<ShardTarget>& own = fetched_.back()->targets();
    targets.insert(targets.end(), own.begin(), own.end());
  }
  loader_.begin(targets);
}

std::vector<LayerStatistics> ShardWorker::calibrate(const Units& units,
                                                    const std::vector<LayerStatistics>& before) {
  observer_.emplace(context_.backend, context_.config, loaded_layers(),
                    context_.work.calibration_sequences, context_.plan.grid.tensor,
                    context_.rank.slice);
  if (context_.groups.stage->rank() == 0) {
    for (const LayerStatistics& one : before) observer_->start_from(one);
  }
  run(pass("calibrate", context_.calibration), "calibrate", stored_layers(), units, &*observer_);
  tell_stage("merge " + layers_text(loaded_layers()));
  observer_->merge(*context_.groups.stage);
  std::vector<LayerStatistics> all = observed();
  observer_.reset();  // scaled weights take its place
  for (std::size_t i = 0; i < all.size(); ++i) gather_weight_statistics(*weights_[i], all[i]);
  return all;
}

std::vector<LayerStatistics> ShardWorker::observed_so_far() {
  observer_->merge_on_first(*context_.groups.stage);
  if (context_.groups.stage->rank() != 0) return {};
  return observed();
}

std::vector<LayerStatistics> ShardWorker::observed() const {
  std::vector<LayerStatistics> all;
  for (const auto& own : weights_) {
    LayerStatistics one;
    one.layer = own->layer().index;
    observer_->download(one);
    all.push_back(std::move(one));
  }
  return all;
}

void ShardWorker::gather_weight_statistics(const LayerWeights& own, LayerStatistics& into) {
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    into.weights[m].channel_amax = gather_rows<float>(own.statistics()[m].channel_amax);
  }
}

template <class T>
std::vector<T> ShardWorker::gather_rows(std::span<const T> own) {
  Collectives& slices = *context_.groups.slices;
  Backend& backend = context_.backend;
  const std::size_t parts = static_cast<std::size_t>(slices.size());
  Buffer sent = backend.allocate(own.size_bytes());
  Buffer received = backend.allocate(own.size_bytes() * parts);
  backend.upload(sent.data(), own.data(), own.size_bytes());
  slices.all_gather(sent.data(), received.data(), own.size_bytes());
  slices.wait();
  std::vector<T> whole(own.size() * parts);
  backend.download(whole.data(), received.data(), received.bytes());
  return whole;
}

/// rows: of all modules. Sums go row by row, whatever the slices.
WeightErrors ShardWorker::gather_weight_errors(const LayerWeights& own,
                                               const std::vector<RowError>& rows) {
  WeightErrors errors;
  std::span<const RowError> left(rows);
  for (std::size_t m = 0; m < kLinearModules; ++m) {
    const std::size_t count = own.statistics()[m].channel_amax.size();
    const std::size_t cols = own.targets()[kTargetOfModule[m]].shard.cols();
    for (const RowError& row : gather_rows(left.first(count))) {
      errors[m].elements += cols;
      errors[m].flushed += row.flushed;
      errors[m].energy += row.energy;
      errors[m].squared_error += row.squared_error;
    }
    left = left.subspan(count);
  }
  return errors;
}

void ShardWorker::forward(const Units& units) {
  run(pass("forward", context_.calibration), "forward", stored_layers(), units, nullptr);
}

void ShardWorker::evaluate_bf16(const Units& units) {
  Pass& pass = evaluation_pass("bf16");
  pass.is_reference = context_.work.compares;
  run(pass, "evaluate bf16", stored_layers(), units, nullptr);
}

void ShardWorker::evaluate(const Recipe& recipe, const std::vector<LayerScales>& scales,
                           const Units& units) {
  std::vector<WeightErrors>& errors = weight_errors_[recipe.name];
  std::vector<std::unique_ptr<QuantizedLayer>> quantized;
  std::vector<const Layer*> layers;
  const std::size_t layers_before = loaded_layers().first - context_.rank.layers.first;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    const bool measures = sample_.empty() && errors.size() == layers_before + i;
    quantized.push_back(std::make_unique<QuantizedLayer>(
        context_.backend, weights_[i]->layer(), recipe, scales.at(i), context_.plan.grid.tensor,
        context_.rank.slice,
        measures ? QuantizedLayer::Purpose::measure : QuantizedLayer::Purpose::evaluate));
    layers.push_back(&quantized.back()->layer());
    const std::vector<RowError> rows = quantized.back()->errors();
    if (!rows.empty()) errors.push_back(gather_weight_errors(*weights_[i], rows));
  }
  Pass& pass = evaluation_pass(recipe.name);
  pass.compares = context_.work.compares;
  run(pass, "evaluate " + recipe.name, layers, units, nullptr);
}

const VariantScores& ShardWorker::scores(const std::string& variant) const {
  static const VariantScores kNone;
  const auto found = scores_.find(variant);
  return found == scores_.end() ? kNone : found->second;
}

ShardWorker::Pass& ShardWorker::evaluation_pass(const std::string& variant) {
  Pass& own = pass(variant, context_.evaluation);
  own.scores = &scores_[sample_ + variant];
  return own;
}

ShardWorker::Pass& ShardWorker::pass(const std::string& name, const TokenWindows& windows) {
  Pass& pass = passes_[sample_ + name];
  pass.windows = &windows;
  return pass;
}

void ShardWorker::run(Pass& pass, const std::string& stage, const std::vector<const Layer*>& layers,
                      const Units& units, StatisticsObserver* observer) {
  if (units.most == 0) return;
  // Told for the whole job: the other shares go at the same pace.
  context_.progress.begin(fmt::format("{} {}", stage, layers_text(loaded_layers())), "sequences",
                          units.sequences, pass.windows->sequence_length);
  const std::size_t count = sample_.empty() ? units.most : std::min<std::size_t>(1, units.most);
  for (std::size_t u = 0; u < count; ++u) {
    if (u < units.own.size()) run_unit(pass, layers, units.own[u], observer);
    context_.progress.advance(units.sequences * (u + 1) / units.most -
                              units.sequences * u / units.most);
    if (context_.after_unit) context_.after_unit();
  }
  context_.progress.end();
}

void ShardWorker::run_unit(Pass& pass, const std::vector<const Layer*>& layers, const Unit& unit,
                           StatisticsObserver* observer) {
  const std::size_t length = pass.windows->sequence_length;
  const Matrix x = enter(pass, unit);
  if (observer != nullptr) observer->begin(unit.sequences.first, length);
  llama_.run(layers, x, length, observer);
  leave(pass, unit, x);
  finish_work();  // else progress tells what has been asked for
}

/// The hidden states of a unit before the chunk's first layer.
Matrix ShardWorker::enter(Pass& pass, const Unit& unit) {
  Backend& backend = context_.backend;
  const std::size_t length = pass.windows->sequence_length;
  const std::size_t tokens = unit.sequences.count * length;
  const std::size_t hidden = context_.config.hidden_size;
  const Matrix x = Matrix::dense(hidden_.data(), DType::bf16, tokens, hidden);
  if (loaded_layers().first > context_.rank.layers.first) {
    backend.upload(x.data, pass.hidden.data() + unit.position * length * hidden,
                   tokens * hidden * 2);
  } else if (context_.rank.embeds) {
    const std::uint32_t* ids = pass.windows->tokens.data() + unit.sequences.first * length;
    backend.upload(ids_.data(), ids, tokens * sizeof(std::uint32_t));
    const WeightShard shard =
        embedding_shard(context_.config, context_.plan.grid.tensor, context_.rank.slice);
    llama_.embed(ids_.as<std::uint32_t>(),
                 Matrix::dense(embedding_.data(), DType::bf16, shard.rows.count, hidden), x);
  } else {
    Collectives& pipeline = *context_.groups.pipeline;
    pipeline.receive(x.data, tokens * hidden * 2, pipeline.rank() - 1);
  }
  return x;
}

/// Hands on the hidden states after the chunk's last layer.
void ShardWorker::leave(Pass& pass, const Unit& unit, Matrix x) {
  if (chunk_ + 1 < chunks()) {
    keep(pass, unit, x, pass.hidden);
  } else if (!context_.rank.predicts) {
    Collectives& pipeline = *context_.groups.pipeline;
    pipeline.send(x.data, x.rows * x.cols * 2, pipeline.rank() + 1);
  } else {
    if (pass.is_reference) keep_reference(pass, unit, x);
    if (pass.scores != nullptr) score(pass, unit, x);
  }
}

/// into: [own sequences * length, hidden].
void ShardWorker::keep(const Pass& pass, const Unit& unit, Matrix x,
                       std::vector<std::uint16_t>& into) {
  const std::size_t sequence = pass.windows->sequence_length * x.cols;
  finish_work();
  const std::size_t most = sample_.empty() ? most_of_a_share(*pass.windows) : unit.sequences.count;
  // More than the bound where sequences come in several parts, each shared by itself.
  into.resize(
      std::max({into.size(), most * sequence, (unit.position + unit.sequences.count) * sequence}));
  context_.backend.download(into.data() + unit.position * sequence, x.data, x.rows * x.cols * 2);
}

/// A bound of what one share has of a pass: the most, where some sequences are done already.
std::size_t ShardWorker::most_of_a_share(const TokenWindows& windows) const {
  const std::size_t shares = static_cast<std::size_t>(context_.plan.grid.sequences);
  return (windows.windows() + shares - 1) / shares;
}

void ShardWorker::score(const Pass& pass, const Unit& unit, Matrix x) {
  Backend& backend = context_.backend;
  const std::size_t length = pass.windows->sequence_length;
  const std::uint32_t* ids = pass.windows->tokens.data() + unit.sequences.first * length;
  const std::vector<std::uint32_t> targets = targets_of(ids, x.rows, length);
  backend.upload(targets_.data(), targets.data(), targets.size() * sizeof(std::uint32_t));

  const WeightShard shard =
      head_shard(context_.config, context_.plan.grid.tensor, context_.rank.slice);
  const Buffer& head = head_.data() != nullptr ? head_ : embedding_;
  const Predictions predictions = {
      .x = x,
      .reference = pass.compares ? reference(pass, unit, x) : Matrix{},
      .final_norm = Matrix::dense(final_norm_.data(), DType::bf16, 1, x.cols),
      .head = Matrix::dense(head.data(), DType::bf16, shard.rows.count, x.cols),
      .targets = targets_.as<std::uint32_t>()};
  llama_.score(
      predictions, length,
      {nll_device_.as<float>(), kl_device_.as<float>(), same_top_device_.as<std::uint8_t>()});
  finish_work();  // the host targets end here
  if (context_.rank.slice != 0) return;

  const auto append = [&]<class T>(const Buffer& from, std::vector<T>& into) {
    std::vector<T> scored(x.rows);
    backend.download(scored.data(), from.data(), scored.size() * sizeof(T));
    for (std::size_t t = 0; t < scored.size(); ++t) {
      if (targets[t] != kNoTarget) into.push_back(scored[t]);
    }
  };
  append(nll_device_, pass.scores->nll);
  if (predictions.reference.data == nullptr) return;
  append(kl_device_, pass.scores->kl);
  append(same_top_device_, pass.scores->same_top);
}

void ShardWorker::keep_reference(const Pass& pass, const Unit& unit, Matrix x) {
  if (!context_.plan.keeps_reference) return keep(pass, unit, x, reference_host_);
  context_.backend.interleave_columns(x.data, 1, reference(pass, unit, x));  // a copy
}

/// What x is, or will be, in BF16.
Matrix ShardWorker::reference(const Pass& pass, const Unit& unit, Matrix x) {
  const std::size_t first_row = unit.position * pass.windows->sequence_length;
  if (context_.plan.keeps_reference) {
    return Matrix::dense(reference_.as<std::uint16_t>() + first_row * x.cols, DType::bf16, x.rows,
                         x.cols);
  }
  context_.backend.upload(reference_.data(), reference_host_.data() + first_row * x.cols,
                          x.rows * x.cols * 2);
  return Matrix::dense(reference_.data(), DType::bf16, x.rows, x.cols);
}

/// Waits for what has been asked of the device. Downloading alone would not notice that another
/// rank is gone.
void ShardWorker::finish_work() {
  context_.groups.slices->wait();
  context_.groups.pipeline->wait();
}

std::vector<const Layer*> ShardWorker::stored_layers() const {
  std::vector<const Layer*> layers;
  for (const auto& weights : weights_) layers.push_back(&weights->layer());
  return layers;
}

}  // namespace fp8cal
