#pragma once

#include "jobs/latency_profile.hpp"
#include "jobs/model_config.hpp"
#include "kernels/timed_backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/control.hpp"
#include "worker/decoder.hpp"

namespace fp8cal {

/// Seconds that timing a call of nothing takes on the device: between its marks, where calls are
/// made one by one, and where they were recorded.
struct Pauses {
  double direct = 0;
  double recorded = 0;
};
Pauses measure_pauses(TimedBackend& backend);

/// What passes are measured with. Borrowed.
struct PassContext {
  TimedBackend& backend;
  Collectives& slices;  ///< timed by it
  const Control& control;
  const ModelConfig& config;
  Pauses pauses;
};

/// Measures one pass of a model: repeated, on the slowest rank; then once more kernel by kernel, on
/// rank 0. A prompt: on the wall clock, from ids on the host to the next token there. Decoding: on
/// the device, from a step of every sequence to the next, which is queued before that one ends,
/// since all that it needs is on the device; the last step stands at the end of the context. Makes
/// a decoder, which is gone afterwards. Complete on rank 0; collective.
ProfiledPass measure_pass(const PassContext& context, const DecoderWeights& weights,
                          const PassKey& key);

/// Holds decoding token by token against the full forward pass over `tokens` pseudo-random ids, of
/// which all but the first are scored. Collective.
DecodeCheck check_decoding(const PassContext& context, const DecoderWeights& weights,
                           const std::string& variant, const std::string& kv, std::size_t tokens);

}  // namespace fp8cal
