#include "jobs/scale_policy.hpp"

#include <charconv>

#include "jobs/error.hpp"

namespace fp8cal {

ScalePolicy parse_scale_policy(const std::string& text) {
  using Kind = ScalePolicy::Kind;
  if (text == "amax") return {};
  if (text == "mse") return {.kind = Kind::mse};
  if (text == "kl") return {.kind = Kind::kl};
  const std::string prefix = "percentile:";
  ScalePolicy policy{.kind = Kind::percentile};
  const char* end = text.data() + text.size();
  if (text.starts_with(prefix)) {
    const auto [last, error] =
        std::from_chars(text.data() + prefix.size(), end, policy.percent, std::chars_format::fixed);
    const bool in_range = policy.percent > 0 && policy.percent <= 100;
    if (error == std::errc() && last == end && in_range) return policy;
  }
  throw InputError("scales.policy", "bad value",
                   "amax, mse, kl, or percentile:P with P above 0 and at most 100",
                   "'" + text + "'");
}

}  // namespace fp8cal
