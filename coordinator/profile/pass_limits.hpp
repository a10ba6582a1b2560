#pragma once

#include <optional>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// What a pass comes up against.
struct Limit {
  enum class Kind { memory, bf16_arithmetic, fp8_arithmetic };
  Kind kind = Kind::memory;
  double share = 0;  ///< of what that was measured to do at most
};

/// "memory", "BF16" or "FP8".
const char* limit_name(Limit::Kind kind);

/// The ceiling that the pass comes nearest to: its bytes against device memory's, or the products'
/// operations against those of their format and all others against BF16's. None where no ceiling
/// was measured or the pass took no time. native_fp8: as of the profile.
std::optional<Limit> limit_of(const ProfiledPass& pass, const Ceilings& ceilings, bool native_fp8);

/// Share of the median time that computing scales and casting takes; none of a pass in no time.
std::optional<double> scaling_share(const ProfiledPass& pass);

}  // namespace fp8cal
