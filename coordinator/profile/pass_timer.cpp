#include "coordinator/profile/pass_timer.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "coordinator/profile/causes.hpp"
#include "coordinator/profile/latency_statistics.hpp"
#include "coordinator/profile/pass_shapes.hpp"
#include "coordinator/profile/repeated_runs.hpp"
#include "jobs/random.hpp"

namespace fp8cal {
namespace {

constexpr Repetition kPrompts = {.warm_up = 2, .least = 5, .most = 20};
constexpr Repetition kSteps = {.warm_up = 3, .least = 20, .most = 100};

/// Positions before the end of a context that steps are measured at: more than there are steps.
constexpr std::size_t kLastPositions = 128;

/// Steps that are queued at once.
constexpr std::size_t kStepsAhead = 8;

std::vector<std::uint32_t> pseudo_random_ids(std::size_t count, const ModelConfig& config) {
  std::mt19937_64 generator(1234);
  std::vector<std::uint32_t> ids(count);
  for (std::uint32_t& id : ids) {
    id = static_cast<std::uint32_t>(draw_below(config.vocab_size, generator));
  }
  return ids;
}

/// What is known of a pass on this rank. seconds: of its runs, on rank 0.
ProfiledPass passed(const PassKey& key, const std::vector<double>& seconds,
                    const KernelProfile& profile, double pause) {
  ProfiledPass pass;
  pass.key = key;
  if (seconds.empty()) return pass;
  pass.latency = latency_of(seconds);
  pass.causes = causes_of(profile, pause, pass.latency.median);
  return pass;
}

ProfiledPass measure_prompt(const PassContext& context, Decoder& decoder, const PassKey& key) {
  const std::vector<std::uint32_t> prompt = pseudo_random_ids(key.tokens, context.config);
  const auto run = [&] {
    decoder.prefill(prompt);
    decoder.tokens();
  };
  const std::vector<double> seconds = repeat_runs(
      context.control, kPrompts, [] {}, [&] { return std::vector<double>{seconds_of(run)}; });
  context.backend.start();
  run();
  context.backend.stop();
  return passed(key, seconds, context.backend.profile(), context.pauses.direct);
}

/// A batch on its way through the end of its context.
class Batch {
 public:
  Batch(Decoder& decoder, const PassKey& key)
      : decoder_(decoder), end_(key.tokens), next_(key.tokens) {}

  /// Back, where the context is at its end.
  void prepare() {
    if (next_ < end_) return;
    next_ = end_ - std::min(end_, kLastPositions);
    decoder_.set_positions(static_cast<std::uint32_t>(next_));
  }
  /// step: of the decoder, somehow.
  void run(const std::function<void()>& step) {
    step();
    ++next_;
    decoder_.tokens();
  }
  /// Seconds of several steps on the device, from the end of one to that of the next, which has
  /// been queued by then; the first from an idle device.
  std::vector<double> run_ahead(Backend& backend, Recording& step) {
    const std::size_t count = std::min(kStepsAhead, end_ - next_);
    backend.mark(0);
    for (std::size_t i = 1; i <= count; ++i) {
      step.replay();
      backend.mark(i);
    }
    next_ += count;
    decoder_.tokens();
    std::vector<double> seconds;
    for (std::size_t i = 1; i <= count; ++i) seconds.push_back(backend.seconds_between(i - 1, i));
    return seconds;
  }

 private:
  Decoder& decoder_;
  std::size_t end_, next_;  // positions
};

ProfiledPass measure_decoding(const PassContext& context, Decoder& decoder, const PassKey& key) {
  decoder.fill();
  decoder.set_tokens(pseudo_random_ids(key.sequences, context.config));
  Batch batch(decoder, key);
  const auto step = [&] { decoder.step(); };
  batch.prepare();
  batch.run(step);  // calls that are to be recorded must have been made once
  std::vector<double> seconds;
  {
    const auto recording = context.backend.record_untimed(step);
    seconds = repeat_runs(
        context.control, kSteps, [&] { batch.prepare(); },
        [&] { return batch.run_ahead(context.backend, *recording); });
  }
  const auto recording = context.backend.record(step);
  for (int i = 0; i < 2; ++i) {  // the second is warm
    batch.prepare();
    batch.run([&] { recording->replay(); });
  }
  return passed(key, seconds, context.backend.profile(), context.pauses.recorded);
}

/// Seconds of one of the calls of nothing in a profile.
double seconds_each(const KernelProfile& profile) {
  const KernelTime& nothing = profile.kernels.at(0);
  return nothing.seconds / static_cast<double>(nothing.calls);
}

}  // namespace

Pauses measure_pauses(TimedBackend& backend) {
  constexpr int kCalls = 200;
  const auto do_nothing = [&] {
    for (int i = 0; i < kCalls; ++i) backend.time("nothing", 0, [] {});
  };
  do_nothing();
  backend.start();
  do_nothing();
  backend.stop();
  Pauses pauses;
  pauses.direct = seconds_each(backend.profile());
  const auto recording = backend.record(do_nothing);
  recording->replay();
  recording->replay();
  pauses.recorded = seconds_each(backend.profile());
  return pauses;
}

ProfiledPass measure_pass(const PassContext& context, const DecoderWeights& weights,
                          const PassKey& key) {
  Decoder decoder(context.backend, context.slices, context.config, weights, shape_of(key));
  return key.decodes ? measure_decoding(context, decoder, key)
                     : measure_prompt(context, decoder, key);
}

DecodeCheck check_decoding(const PassContext& context, const DecoderWeights& weights,
                           const std::string& variant, const std::string& kv, std::size_t tokens) {
  Decoder decoder(context.backend, context.slices, context.config, weights,
                  prompt_shape(tokens, kv_dtype(kv)));
  const std::vector<std::uint32_t> ids = pseudo_random_ids(tokens, context.config);
  const std::vector<float> full = decoder.score(ids, tokens);
  const std::vector<float> decoded = decoder.score(ids, 1);
  DecodeCheck check = {.variant = variant, .kv = kv, .tokens = full.size()};
  double sum = 0;
  for (std::size_t t = 0; t < full.size(); ++t) {
    const double difference = double{decoded[t]} - double{full[t]};
    sum += difference;
    check.most_difference = std::max(check.most_difference, std::fabs(difference));
  }
  check.mean_difference = sum / static_cast<double>(full.size());
  check.same_bits = decoded == full;
  return check;
}

}  // namespace fp8cal
