#pragma once

#include <algorithm>
#include <string>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// What a pass of a Llama of 8 billion parameters costs, about.
struct ModelledPass {
  PassKey key;
  Ceilings ceilings;

  bool is_bf16() const { return key.variant == "bf16"; }
  bool casts_inputs() const { return key.variant == "fp8-static" || key.variant == "fp8-dynamic"; }
  double rows() const { return static_cast<double>(key.decodes ? key.sequences : key.tokens); }

  double kv_bytes_a_token() const { return 32 * 2 * 1024 * (key.kv == "bf16" ? 2.0 : 1.0); }
  double weight_bytes() const { return 7.5e9 * (is_bf16() ? 2 : 1) + 1.05e9; }

  CauseTime products() const {
    const double flop = 2 * 7.5e9 * rows();
    const double rate = casts_inputs() ? ceilings.fp8_flop_per_s : ceilings.bf16_flop_per_s;
    const double bytes = key.variant == "fp8-weight-only" ? 15e9 + 1.05e9 : weight_bytes();
    return {225, std::max(flop / (0.75 * rate), bytes / (0.85 * ceilings.bytes_per_s)), flop,
            bytes};
  }

  CauseTime attention() const {
    const auto tokens = static_cast<double>(key.tokens);
    const double flop = 4.0 * 4096 * 32 * rows() * tokens * (key.decodes ? 1.0 : 0.5);
    const double bytes = kv_bytes_a_token() * tokens * static_cast<double>(key.sequences);
    return {64, flop / (0.4 * ceilings.bf16_flop_per_s) + bytes / (0.6 * ceilings.bytes_per_s),
            flop, bytes};
  }

  CauseTime scaling() const {
    const double passes_over_kv = key.decodes ? 1.5 : key.kv == "e4m3" ? 12 : 30;
    double bytes = key.kv == "bf16" ? 0 : passes_over_kv * kv_bytes_a_token() * rows();
    if (casts_inputs()) bytes += rows() * 32 * 31000 * (key.variant == "fp8-dynamic" ? 5 : 3);
    if (key.variant == "fp8-weight-only") bytes += 3 * 7.5e9;
    const std::size_t calls = (is_bf16() ? 0 : 128) + (key.kv == "bf16" ? 0 : 64);
    return {calls, bytes / (0.7 * ceilings.bytes_per_s) + 1e-6 * static_cast<double>(calls), 0,
            bytes};
  }

  CauseTime norms() const {
    const double bytes = rows() * 32 * 90000;
    return {161, bytes / (0.6 * ceilings.bytes_per_s) + 161 * 1.5e-6, 0, bytes};
  }

  std::array<CauseTime, kCauses> causes() const {
    return {products(), attention(), scaling(), norms(), CauseTime{}, CauseTime{1, 4e-4, 0, 0}};
  }

  std::uint64_t needed_bytes() const {
    const double kv = kv_bytes_a_token() * static_cast<double>(key.sequences * key.tokens);
    return static_cast<std::uint64_t>(weight_bytes() + kv + 250000 * rows());
  }
};

/// As `fp8cal profile` might measure Llama 3.1 8B on an H200: four variants, three formats of keys
/// and values, prompts of 128 to 131,072 tokens, batches of 1 to 128 after 2,048 and 32,768. Some
/// passes do not fit. The numbers are made up.
inline LatencyProfile latency_profile_fixture() {
  constexpr std::uint64_t kBudget = std::uint64_t{130} << 30;
  LatencyProfile profile{.version = "0.1.0",
                         .time = "2026-01-02T03:04:05Z",
                         .command_line = "fp8cal profile job.ini",
                         .model = "/models/Llama-3.1-8B",
                         .scales = "result.h5",
                         .backend = "cuda",
                         .places = {"node1 gpu 0"},
                         .planned_bytes = kBudget,
                         .peak_bytes = std::uint64_t{101} << 30,
                         .ceilings = {4.2e12, 7.4e14, 1.38e15, 0},
                         .checks = {},
                         .passes = {},
                         .unfit = {}};
  const auto add = [&](const PassKey& key) {
    const ModelledPass pass{key, profile.ceilings};
    if (pass.needed_bytes() > kBudget) {
      profile.unfit.push_back({key, pass.needed_bytes(), kBudget});
      return;
    }
    ProfiledPass& one = profile.passes.emplace_back(ProfiledPass{key, {}, pass.causes()});
    for (const CauseTime& cause : one.causes) one.latency.median += cause.seconds;
    one.latency.p95 = 1.04 * one.latency.median;
    one.latency.runs = 20;
  };
  for (const std::string kv : {"bf16", "e4m3", "e5m2"}) {
    for (const std::string variant : {"bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"}) {
      for (std::size_t tokens = 128; tokens <= 131072; tokens *= 2) {
        add({false, variant, kv, 1, tokens});
      }
      for (const std::size_t sequences : {1, 8, 32, 128}) {
        for (const std::size_t tokens : {2048, 32768}) add({true, variant, kv, sequences, tokens});
      }
      profile.checks.push_back(
          {variant, kv, 2048, 1.5e-5, 0.0625, variant == "bf16" && kv == "bf16"});
    }
  }
  return profile;
}

}  // namespace fp8cal
