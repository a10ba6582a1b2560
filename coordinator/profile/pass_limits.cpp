#include "coordinator/profile/pass_limits.hpp"

#include <cstddef>
#include <string>

#include "jobs/recipe.hpp"

namespace fp8cal {
namespace {

const CauseTime& time_of(const ProfiledPass& pass, Cause cause) {
  return pass.causes[static_cast<std::size_t>(cause)];
}

double seconds_at(double amount, double per_second) {
  return per_second > 0 ? amount / per_second : 0;
}

/// Whether products multiply in FP8.
bool multiplies_fp8(const std::string& variant) {
  return variant != "bf16" && find_recipe(variant).input != Recipe::Input::bf16;
}

}  // namespace

const char* limit_name(Limit::Kind kind) {
  switch (kind) {
    case Limit::Kind::memory:
      return "memory";
    case Limit::Kind::bf16_arithmetic:
      return "BF16";
    case Limit::Kind::fp8_arithmetic:
      return "FP8";
  }
  return "";
}

std::optional<Limit> limit_of(const ProfiledPass& pass, const Ceilings& ceilings, bool native_fp8) {
  if (!(pass.latency.median > 0)) return std::nullopt;
  double bytes = 0, flop = 0;
  for (const CauseTime& cause : pass.causes) {
    bytes += cause.bytes;
    flop += cause.flop;
  }
  bytes -= time_of(pass, Cause::collectives).bytes;  // from other ranks
  const double products = time_of(pass, Cause::products).flop;
  const bool fp8 = native_fp8 && ceilings.fp8_flop_per_s > 0 && multiplies_fp8(pass.key.variant);
  const double reading = seconds_at(bytes, ceilings.bytes_per_s);
  const double computing =
      seconds_at(products, fp8 ? ceilings.fp8_flop_per_s : ceilings.bf16_flop_per_s) +
      seconds_at(flop - products, ceilings.bf16_flop_per_s);
  Limit limit = {Limit::Kind::memory, reading / pass.latency.median};
  if (computing > reading) {
    limit = {fp8 ? Limit::Kind::fp8_arithmetic : Limit::Kind::bf16_arithmetic,
             computing / pass.latency.median};
  }
  return limit.share > 0 ? std::optional(limit) : std::nullopt;
}

std::optional<double> scaling_share(const ProfiledPass& pass) {
  if (!(pass.latency.median > 0)) return std::nullopt;
  return time_of(pass, Cause::scaling).seconds / pass.latency.median;
}

}  // namespace fp8cal
