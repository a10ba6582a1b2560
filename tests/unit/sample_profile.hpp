#pragma once

#include <string>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

inline ProfiledPass prefill_pass(const std::string& variant, std::size_t prompt, double seconds,
                                 const std::string& kv = "bf16") {
  ProfiledPass pass;
  pass.key = {false, variant, kv, 1, prompt};
  pass.latency = {seconds, 1.25 * seconds, 5};
  return pass;
}

inline ProfiledPass decode_pass(const std::string& variant, std::size_t batch, std::size_t context,
                                double seconds, const std::string& kv = "bf16") {
  ProfiledPass pass;
  pass.key = {true, variant, kv, batch, context};
  pass.latency = {seconds, 1.25 * seconds, 5};
  return pass;
}

inline CauseTime& cause_of(ProfiledPass& pass, Cause cause) {
  return pass.causes[static_cast<std::size_t>(cause)];
}

/// BF16 and three kinds of FP8 at prompts of 128 and 8192 tokens, and at 1 and 8 sequences with
/// 2048 and 32768 tokens each. fp8-static costs more before the first token of the short prompt.
inline LatencyProfile sample_profile() {
  LatencyProfile profile;
  profile.version = "1";
  profile.time = "2026-01-01T00:00:00Z";
  profile.command_line = "fp8cal profile";
  profile.model = "model";
  profile.backend = "cuda";
  profile.places = {"a: gpu"};
  profile.planned_bytes = std::uint64_t{3} << 30;
  profile.peak_bytes = std::uint64_t{2} << 30;
  profile.ceilings = {4e12, 700e12, 1400e12, 0};
  profile.passes = {
      prefill_pass("bf16", 128, 0.008),           prefill_pass("bf16", 8192, 0.256),
      prefill_pass("fp8-static", 128, 0.010),     prefill_pass("fp8-static", 8192, 0.160),
      prefill_pass("fp8-dynamic", 128, 0.012),    prefill_pass("fp8-dynamic", 8192, 0.200),
      decode_pass("bf16", 1, 2048, 0.004),        decode_pass("bf16", 1, 32768, 0.008),
      decode_pass("bf16", 8, 2048, 0.006),        decode_pass("fp8-static", 1, 2048, 0.002),
      decode_pass("fp8-static", 1, 32768, 0.006), decode_pass("fp8-static", 8, 2048, 0.003),
      decode_pass("fp8-static", 8, 32768, 0.015), decode_pass("fp8-dynamic", 1, 2048, 0.0025)};
  profile.unfit = {
      {{true, "bf16", "bf16", 8, 32768}, std::uint64_t{5} << 30, std::uint64_t{3} << 30}};
  ProfiledPass& scaled = profile.passes[5];  // fp8-dynamic, 8192
  cause_of(scaled, Cause::products) = {225, 0.140, 140e12, 20e9};
  cause_of(scaled, Cause::scaling) = {128, 0.020, 0, 40e9};
  cause_of(profile.passes[6], Cause::products) = {225, 0.0035, 16e9, 12.8e9};
  return profile;
}

}  // namespace fp8cal
