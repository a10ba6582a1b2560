#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fp8cal {

/// What the time of a pass goes to.
enum class Cause : std::uint8_t {
  products,     ///< matrix products
  attention,    ///< attention, and keeping keys and values
  scaling,      ///< computing scales, casting to FP8 and back
  norms,        ///< RMSNorm, SiLU, embedding, choosing tokens: what memory bounds
  collectives,  ///< between ranks
  gaps,         ///< in no kernel: between launches, and on the host
};
inline constexpr std::size_t kCauses = 6;

/// "products", "attention", ...: as in the file and for people.
const char* cause_name(Cause cause);

/// What one cause takes in one pass on rank 0.
struct CauseTime {
  std::size_t calls = 0;
  double seconds = 0;
  double flop = 0;
  double bytes = 0;  ///< that must at least be read and written
};

/// Seconds of repeated runs after warm-up.
struct Latency {
  double median = 0;
  double p95 = 0;  ///< 95th percentile
  std::size_t runs = 0;
};

/// Which pass: prefill computes a whole prompt up to its first token; decoding, one token of each
/// sequence of a batch.
struct PassKey {
  bool decodes = false;
  std::string variant;        ///< "bf16", or a recipe that says nothing of keys and values
  std::string kv;             ///< what keys and values are kept in: "bf16", "e4m3" or "e5m2"
  std::size_t sequences = 1;  ///< 1 for prefill
  std::size_t tokens = 0;     ///< of the prompt; or of each sequence, with the one computed

  friend auto operator<=>(const PassKey&, const PassKey&) = default;
};

struct ProfiledPass {
  PassKey key;
  Latency latency;  ///< prefill: time to first token; decoding: time per output token
  std::array<CauseTime, kCauses> causes{};  ///< by Cause; sum up to about latency.median
};

/// A pass that does not fit in device memory.
struct UnfitPass {
  PassKey key;
  std::uint64_t needed_bytes = 0;
  std::uint64_t budget_bytes = 0;
};

/// What the device was measured to do at most, in the same run.
struct Ceilings {
  double bytes_per_s = 0;         ///< reading device memory
  double bf16_flop_per_s = 0;     ///< matrix products
  double fp8_flop_per_s = 0;      ///< the same in FP8; 0: without tensor cores for it
  double gather_bytes_per_s = 0;  ///< received by a rank; 0 on one
};

/// How far decoding token by token is from the full forward pass, over the tokens of one text.
struct DecodeCheck {
  std::string variant;
  std::string kv;
  std::size_t tokens = 0;
  double mean_difference = 0;  ///< of the NLL, nats a token, signed: decoding less full
  double most_difference = 0;  ///< of one token, its magnitude
  bool same_bits = false;
};

/// What `fp8cal profile` measured: what FP8 costs before the first token and gains after it.
struct LatencyProfile {
  std::string version;  ///< of the program
  std::string time;     ///< ISO 8601, UTC
  std::string command_line;
  std::string model;                ///< its path
  std::string scales;               ///< the result that scales came from; empty: made up
  std::string backend;              ///< "cpu" or "cuda"
  std::vector<std::string> places;  ///< of each rank: host and device
  bool native_fp8 = true;           ///< FP8 products on FP8 tensor cores, or as BF16
  std::uint64_t planned_bytes = 0;  ///< of device memory, of a rank
  std::uint64_t peak_bytes = 0;     ///< the most that any rank used
  Ceilings ceilings;
  std::vector<DecodeCheck> checks;
  std::vector<ProfiledPass> passes;
  std::vector<UnfitPass> unfit;
};

}  // namespace fp8cal
