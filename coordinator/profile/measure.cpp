#include "coordinator/profile/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "coordinator/profile/measured_ceilings.hpp"
#include "coordinator/profile/pass_causes.hpp"
#include "coordinator/profile/profile_stage.hpp"
#include "coordinator/profile/repeated_runs.hpp"
#include "coordinator/provenance.hpp"
#include "jobs/random.hpp"
#include "worker/decoder_model.hpp"

namespace fp8cal {
namespace {

constexpr Repeats kPrefillRepeats = {.warm_ups = 2, .fewest = 5, .most = 20, .seconds = 2};
constexpr Repeats kDecodeRepeats = {.warm_ups = 3, .fewest = 20, .most = 100, .seconds = 2};

class Measurement {
 public:
  Measurement(const ProfileRequest& request, const Control& control, MPI_Comm world,
              ProgressListener& progress)
      : stage_(request, control, world), progress_(progress) {}

  LatencyProfile run();

 private:
  void measure_variant(const std::string& variant);
  void check(DecoderModel& model, const std::string& variant, const std::string& kv);
  void measure_prompts(DecoderModel& model, const std::string& variant, const std::string& kv);
  void measure_decoding(DecoderModel& model, const PassKey& key);
  bool fits(const PassKey& key, const DecoderShape& shape);
  void note_planned(const std::string& variant, const DecoderShape& shape);
  void finish();
  std::vector<std::uint32_t> random_tokens(std::size_t count) const;

  ProfileStage stage_;
  ProgressListener& progress_;
  double pause_ = 0;
  LatencyProfile profile_;
};

LatencyProfile Measurement::run() {
  const ProfileRequest& request = stage_.request;
  Backend& backend = *stage_.backend;
  profile_.backend = backend.name();
  profile_.native_fp8 = backend.fp8_products() == Fp8Products::native;
  profile_.places = stage_.control.gather(where_this_rank_runs(backend.device()));
  profile_.ceilings = measure_ceilings(backend, *stage_.groups.slices, stage_.buffer_bytes());
  pause_ = pause_of(backend);
  for (const std::string& variant : request.variants) measure_variant(variant);
  profile_.peak_bytes = static_cast<std::uint64_t>(
      stage_.control.max(static_cast<std::int64_t>(backend.peak_memory_bytes())));
  return std::move(profile_);
}

void Measurement::measure_variant(const std::string& variant) {
  const ProfileRequest& request = stage_.request;
  DecoderModel model({*stage_.timed, *stage_.collectives, stage_.config, stage_.plan,
                      *stage_.checkpoint, request.threads, progress_},
                     recipe_of(variant), stage_.scales_of(variant, "bf16"));
  const std::size_t points =
      request.prompts.size() + request.decode_batches.size() * request.contexts.size();
  for (const std::string& kv : request.kv) {
    model.keep_by(prompt_shape(1, kv).kv, stage_.scales_of(variant, kv));
    progress_.begin(fmt::format("measure {}, keys and values in {}", variant, kv), "points", points,
                    0);
    check(model, variant, kv);
    measure_prompts(model, variant, kv);
    for (const std::size_t context : request.contexts) {
      for (const std::size_t batch : request.decode_batches) {
        measure_decoding(model, {true, variant, kv, batch, context});
        progress_.advance(1);
      }
    }
    progress_.end();
  }
}

/// What decoding is worth measuring for: that it computes the model.
void Measurement::check(DecoderModel& model, const std::string& variant, const std::string& kv) {
  constexpr std::size_t kMostTokens = 256;
  const std::size_t tokens = std::min(kMostTokens, stage_.config.max_position_embeddings);
  const std::vector<std::uint32_t> ids = random_tokens(tokens);
  Decoder decoder(*stage_.timed, *stage_.collectives, stage_.config, model.weights(),
                  prompt_shape(tokens, kv));
  const std::vector<float> whole = decoder.score(ids, tokens);
  const std::vector<float> one_by_one = decoder.score(ids, 1);
  DecodeCheck check = {.variant = variant, .kv = kv, .tokens = whole.size()};
  for (std::size_t t = 0; t < whole.size(); ++t) {
    const double difference = static_cast<double>(one_by_one[t]) - whole[t];
    check.mean_difference += difference / static_cast<double>(whole.size());
    check.most_difference = std::max(check.most_difference, std::abs(difference));
  }
  check.same_bits = whole == one_by_one;
  profile_.checks.push_back(check);
}

void Measurement::measure_prompts(DecoderModel& model, const std::string& variant,
                                  const std::string& kv) {
  const std::vector<std::size_t>& prompts = stage_.request.prompts;
  if (prompts.empty()) return;
  const DecoderShape shape = prompt_shape(std::ranges::max(prompts), kv);
  note_planned(variant, shape);
  Decoder decoder(*stage_.timed, *stage_.collectives, stage_.config, model.weights(), shape);
  for (const std::size_t tokens : prompts) {
    const std::vector<std::uint32_t> prompt = random_tokens(tokens);
    ProfiledPass pass;
    pass.key = {false, variant, kv, 1, tokens};
    const auto compute = [&] {
      decoder.prefill(prompt);
      decoder.tokens();
    };
    pass.latency = time_runs(
        stage_.control, kPrefillRepeats, [] {}, compute);
    stage_.timed->start();
    compute();
    stage_.timed->stop();
    pass.causes = causes_of(stage_.timed->profile(), pause_, pass.latency.median);
    profile_.passes.push_back(pass);
    progress_.advance(1);
  }
}

void Measurement::measure_decoding(DecoderModel& model, const PassKey& key) {
  const DecoderShape shape = batch_shape(key.sequences, key.tokens, key.kv);
  if (!fits(key, shape)) return;
  note_planned(key.variant, shape);
  Decoder decoder(*stage_.timed, *stage_.collectives, stage_.config, model.weights(), shape);
  decoder.fill();
  decoder.set_tokens(random_tokens(key.sequences));
  const auto place = [&] { decoder.set_positions(static_cast<std::uint32_t>(key.tokens - 1)); };
  place();
  decoder.step();  // what a backend keeps for these calls is there from now on
  finish();
  ProfiledPass pass;
  pass.key = key;
  {
    const std::unique_ptr<Recording> step = stage_.backend->record([&] { decoder.step(); });
    pass.latency = time_runs(stage_.control, kDecodeRepeats, place, [&] {
      step->replay();
      decoder.tokens();
    });
  }
  const std::unique_ptr<Recording> timed = stage_.timed->record([&] { decoder.step(); });
  for (int run = 0; run < 2; ++run) {  // the first one warms up
    place();
    timed->replay();
    finish();
  }
  pass.causes = causes_of(stage_.timed->profile(), pause_, pass.latency.median);
  profile_.passes.push_back(pass);
}

bool Measurement::fits(const PassKey& key, const DecoderShape& shape) {
  const std::uint64_t needed = stage_.memory_of(key.variant, shape).total();
  if (needed <= stage_.device.budget) return true;
  profile_.unfit.push_back({key, needed, stage_.device.budget});
  return false;
}

void Measurement::note_planned(const std::string& variant, const DecoderShape& shape) {
  profile_.planned_bytes =
      std::max(profile_.planned_bytes, stage_.memory_of(variant, shape).total());
}

/// Collectives notice where another rank is gone.
void Measurement::finish() {
  stage_.collectives->wait();
  stage_.backend->synchronize();
}

std::vector<std::uint32_t> Measurement::random_tokens(std::size_t count) const {
  std::mt19937_64 generator(1);
  std::vector<std::uint32_t> tokens(count);
  for (std::uint32_t& token : tokens) {
    token = static_cast<std::uint32_t>(draw_below(stage_.config.vocab_size, generator));
  }
  return tokens;
}

}  // namespace

LatencyProfile measure(const ProfileRequest& request, const Control& control, MPI_Comm world,
                       ProgressListener& progress) {
  return Measurement(request, control, world, progress).run();
}

}  // namespace fp8cal
