#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/profile/profile_figures.hpp"
#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// Which setting needs the least time for something. Of equal ones the first that was measured.
struct Fastest {
  Setting setting;
  double seconds = 0;
  std::optional<double> gain;  ///< BF16's seconds over these; none without BF16, or in no time
};

/// The lowest time to first token.
struct FastestPrefill {
  std::size_t prompt = 0;  ///< tokens
  Fastest fastest;
};

/// The lowest time per output token.
struct FastestDecoding {
  std::size_t batch = 0;    ///< sequences
  std::size_t context = 0;  ///< tokens that each has
  Fastest fastest;
};

/// The lowest total time of a batch of requests.
struct FastestTotal {
  std::size_t prompt = 0;
  std::size_t batch = 0;
  std::size_t output = 0;  ///< tokens of each sequence
  Fastest fastest;
};

/// Up to this many output tokens are looked at.
inline constexpr std::uint64_t kMostOutput = 1'000'000'000;

/// For which numbers of output tokens, from 1 on, one total is below another.
struct Crossover {
  enum class Kind {
    always,   ///< from the first token on
    from,     ///< from `tokens` on
    never,    ///< not for up to kMostOutput
    up_to,    ///< from the first token to `tokens`
    unknown,  ///< something it needs was not measured
  };
  Kind kind = Kind::unknown;
  std::uint64_t tokens = 0;

  friend bool operator==(const Crossover&, const Crossover&) = default;
};

/// When a setting is faster than BF16.
struct SettingCrossover {
  Setting setting;
  std::size_t prompt = 0;
  std::size_t batch = 0;
  Crossover crossover;
};

/// What static scales save over dynamic ones, with the same keys and values.
struct StaticSaving {
  PassKey key;         ///< of the pass with static scales
  double seconds = 0;  ///< less than by dynamic ones; below 0: more
  double share = 0;    ///< of the time by dynamic ones
};

/// What a profile says of when FP8 pays. Nothing in it was measured anew or guessed.
struct ProfileAnswer {
  std::vector<FastestPrefill> prefill;
  std::vector<FastestDecoding> decoding;
  std::vector<FastestTotal> totals;
  std::vector<SettingCrossover> crossovers;  ///< of each setting but BF16; empty without BF16
  std::vector<StaticSaving> savings;
  std::vector<std::string> missing;  ///< what could not be answered, a line each
};

/// Of output lengths 1, 32, 256 and 2048.
ProfileAnswer answer_of(const LatencyProfile& profile);

/// Seconds for `batch` prompts one after another, then `output` tokens of all of them together.
double total_seconds(double first_token, double output_token, std::size_t batch,
                     std::uint64_t output);

/// For which outputs a batch by `a` takes less than by `b`; each is a time to first token and a
/// time per output token, in seconds.
struct Pace {
  double first_token = 0;
  double output_token = 0;
};
Crossover crossover_of(const Pace& a, const Pace& b, std::size_t batch);

}  // namespace fp8cal
