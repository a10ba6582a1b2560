#include "coordinator/profile/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coordinator/profile/ceilings.hpp"
#include "coordinator/profile/pass_shapes.hpp"
#include "coordinator/profile/pass_timer.hpp"
#include "coordinator/profile/profile_setup.hpp"
#include "coordinator/provenance.hpp"
#include "sharding/runtime_bytes.hpp"
#include "sharding/timed_collectives.hpp"
#include "sharding/vital_signs.hpp"
#include "worker/decoder_model.hpp"

namespace fp8cal {
namespace {

/// The passes of one variant with one format of keys and values.
std::vector<PassKey> passes_of(const ProfileRequest& request, const std::string& variant,
                               const std::string& kv) {
  std::vector<PassKey> keys;
  for (const std::size_t tokens : request.prompts) {
    keys.push_back({false, variant, kv, 1, tokens});
  }
  for (const std::size_t sequences : request.decode_batches) {
    for (const std::size_t context : request.contexts) {
      keys.push_back({true, variant, kv, sequences, context});
    }
  }
  return keys;
}

class Measurement {
 public:
  Measurement(const ProfileRequest& request, const Control& control, MPI_Comm world,
              ProgressListener& progress)
      : request_(request),
        control_(control),
        progress_(progress),
        setup_(request, control, world),
        timed_(*setup_.backend),
        timed_slices_(*setup_.slices, timed_) {}

  LatencyProfile run();

 private:
  void describe();
  void measure_device();
  void measure_variant(const std::string& variant);
  void measure_kv(const std::string& variant, const std::string& kv,
                  const std::vector<PassKey>& keys, DecoderModel& model);
  void keep_kv(const std::string& variant, const std::string& kv, DecoderModel& model);
  void check(const std::string& variant, const std::string& kv, const DecoderWeights& weights);
  std::vector<PassKey> fitting(const std::string& variant, const std::string& kv);
  void plan(std::uint64_t bytes) {
    profile_.planned_bytes = std::max(profile_.planned_bytes, bytes);
  }
  PassContext context() { return {timed_, timed_slices_, control_, setup_.config, pauses_}; }

  const ProfileRequest& request_;
  const Control& control_;
  ProgressListener& progress_;
  ProfileSetup setup_;
  TimedBackend timed_;
  TimedCollectives timed_slices_;
  Pauses pauses_;
  LatencyProfile profile_;
};

LatencyProfile Measurement::run() {
  describe();
  measure_device();
  for (const std::string& variant : request_.variants) measure_variant(variant);
  profile_.peak_bytes = static_cast<std::uint64_t>(
      control_.max(static_cast<std::int64_t>(setup_.backend->peak_memory_bytes())));
  return std::move(profile_);
}

void Measurement::describe() {
  profile_.backend = setup_.backend->name();
  profile_.places = control_.gather(where_this_rank_runs(setup_.backend->device()));
  profile_.native_fp8 = setup_.backend->fp8_products() == Fp8Products::native;
}

void Measurement::measure_device() {
  tell_stage("measure what the device does at most");
  const CeilingSizes sizes = ceiling_sizes(*setup_.backend, setup_.device.budget);
  plan(sizes.bytes(control_.size()) + runtime_bytes({.tensor = control_.size()}, setup_.device));
  control_.max(0);  // all ranks begin together
  profile_.ceilings = measure_ceilings(*setup_.backend, *setup_.slices, sizes);
  pauses_ = measure_pauses(timed_);
}

void Measurement::measure_variant(const std::string& variant) {
  std::vector<std::pair<std::string, std::vector<PassKey>>> by_kv;
  for (const std::string& kv : request_.kv) by_kv.emplace_back(kv, fitting(variant, kv));
  tell_stage("load " + variant);
  const std::vector<LayerScales> scales = setup_.scales_of(variant, "bf16");
  DecoderModel model(
      *setup_.backend, *setup_.slices,
      {*setup_.checkpoint, setup_.config, recipe_of(variant), scales, setup_.threads, progress_});
  for (const auto& [kv, keys] : by_kv) {
    if (!keys.empty()) measure_kv(variant, kv, keys, model);
  }
}

void Measurement::measure_kv(const std::string& variant, const std::string& kv,
                             const std::vector<PassKey>& keys, DecoderModel& model) {
  const std::string stage = fmt::format("measure {}, keys and values {}", variant, kv);
  tell_stage(stage);
  progress_.begin(stage, "passes", keys.size(), 0);
  if (kv != "bf16") keep_kv(variant, kv, model);
  check(variant, kv, model.weights());
  for (const PassKey& key : keys) {
    profile_.passes.push_back(measure_pass(context(), model.weights(), key));
    progress_.advance(1);
  }
  progress_.end();
}

void Measurement::keep_kv(const std::string& variant, const std::string& kv, DecoderModel& model) {
  std::vector<ModuleScales> scales;
  for (const LayerScales& layer : setup_.scales_of(variant, kv)) scales.push_back(layer.attention);
  model.keep_kv_in(kv_dtype(kv), scales);
}

/// Over fewer tokens where there is no room, and not at all where fewer than two fit.
void Measurement::check(const std::string& variant, const std::string& kv,
                        const DecoderWeights& weights) {
  const std::optional<Recipe> recipe = recipe_of(variant);
  DecoderShape shape = prompt_shape(kCheckedTokens + 1, kv_dtype(kv));
  const std::size_t longest =
      longest_prompt(setup_.config, recipe, shape, control_.size(), setup_.device);
  const std::size_t tokens = std::min(kCheckedTokens + 1, longest);
  if (tokens < 2) return;
  shape = prompt_shape(tokens, kv_dtype(kv));
  plan(decoder_memory(setup_.config, recipe, shape, control_.size(), setup_.device).total());
  profile_.checks.push_back(check_decoding(context(), weights, variant, kv, tokens));
}

/// Those of the passes that fit in device memory; the others are noted.
std::vector<PassKey> Measurement::fitting(const std::string& variant, const std::string& kv) {
  std::vector<PassKey> keys = passes_of(request_, variant, kv);
  std::erase_if(keys, [&](const PassKey& key) {
    const std::uint64_t needed = decoder_memory(setup_.config, recipe_of(variant), shape_of(key),
                                                control_.size(), setup_.device)
                                     .total();
    if (needed <= setup_.device.budget) {
      plan(needed);
      return false;
    }
    profile_.unfit.push_back({key, needed, setup_.device.budget});
    return true;
  });
  return keys;
}

}  // namespace

LatencyProfile measure(const ProfileRequest& request, const Control& control, MPI_Comm world,
                       ProgressListener& progress) {
  return Measurement(request, control, world, progress).run();
}

}  // namespace fp8cal
