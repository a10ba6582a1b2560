#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/audit/contents.hpp"
#include "coordinator/audit/tolerances.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {

/// What can differ, in the order in which data flow.
enum class Kind : std::size_t {
  job,
  tokens,
  weights,
  histograms,
  amax,  ///< of activations, with the snapshots
  channel_amax,
  scales,
  diagnostics,
  perplexity,
  nll,
  kl,
  same_top,
  intervals,  ///< of perplexity differences
};
inline constexpr std::size_t kKinds = 13;

struct KindName {
  const char* name;   ///< as in JSON
  const char* title;  ///< for people
  const char* unit;   ///< of Difference::size; empty: none
};
const KindName& name_of(Kind kind);

/// One object that differs.
struct Difference {
  std::string object;  ///< path in the files
  std::string at;      ///< where in it, such as "channel 3"; may be empty
  std::string a;       ///< the value in the first file, and in the second
  std::string b;
  double size = 0;      ///< how far, in the unit of its kind; infinite for other shapes
  std::string of = {};  ///< what to hold the size against, such as all elements; may be empty
  double relative = 0;  ///< of scales and amax: the largest |a - b| / max(|a|, |b|) in the object
};

/// All differences of a kind.
struct KindSummary {
  std::size_t compared = 0;   ///< objects
  std::size_t differing = 0;  ///< of them
  std::size_t beyond = 0;     ///< of these: more than is tolerated
  double largest_relative = 0;
  std::optional<Difference> first;
  std::optional<Difference> largest;
};

/// A part that only one of the files has.
struct MissingPart {
  std::string object;
  bool only_in_a = false;
};

/// Where or how the two results were computed differently: a key of /provenance, or one of /job
/// that tells of the arithmetic.
struct RunDifference {
  std::string key;
  std::string a;
  std::string b;
};

enum class Verdict { equal, within_tolerance, different };

struct Comparison {
  std::string digest_a;
  std::string digest_b;
  Tolerances tolerances;
  Contents contents;  ///< of the first file
  Verdict verdict = Verdict::equal;
  std::string relation;  ///< where one result was derived from the other; else empty
  std::array<KindSummary, kKinds> kinds;
  std::vector<MissingPart> missing;
  /// The first difference that is not tolerated: what comes later may only follow from it.
  std::optional<Difference> cause;
  Kind cause_kind = Kind::job;
  /// The first such difference in what a layer computes: from there on the runs part.
  std::optional<Difference> first_layer;
  Kind first_layer_kind = Kind::histograms;
  std::vector<RunDifference> runs;

  const KindSummary& of(Kind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
};

/// Compares two results, in the order in which data flow.
Comparison compare(const StoredResult& a, const StoredResult& b, const Tolerances& tolerances);

/// |a - b| in steps of BF16 at the larger magnitude: between consecutive BF16 numbers 1, and f32
/// values in between give fractions. Finite values.
double bf16_steps(float a, float b);

}  // namespace fp8cal
