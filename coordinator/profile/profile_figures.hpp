#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// What is compared: a variant, and what keys and values are kept in.
struct Setting {
  std::string variant;  ///< "bf16" or a recipe
  std::string kv;       ///< "bf16", "e4m3" or "e5m2"

  bool is_bf16() const { return variant == "bf16" && kv == "bf16"; }
  /// "fp8-static", "fp8-static-kv-e4m3", "bf16-kv-e5m2".
  std::string name() const;

  friend auto operator<=>(const Setting&, const Setting&) = default;
};

/// Looks up what a profile measured. Borrows it.
class ProfileFigures {
 public:
  explicit ProfileFigures(const LatencyProfile& profile);

  /// In the order in which they were measured first; those that never fitted last.
  const std::vector<Setting>& settings() const { return settings_; }
  /// What was asked for of any setting, ascending.
  const std::set<std::size_t>& prompts() const { return prompts_; }
  const std::set<std::size_t>& batches() const { return batches_; }
  const std::set<std::size_t>& contexts() const { return contexts_; }

  /// Null where it was not measured.
  const ProfiledPass* prefill(const Setting& setting, std::size_t prompt) const;
  const ProfiledPass* decoding(const Setting& setting, std::size_t batch,
                               std::size_t context) const;

  /// Median seconds to the first token; none where not measured.
  std::optional<double> first_token(const Setting& setting, std::size_t prompt) const;
  /// Median seconds an output token with `context` tokens before it: linear between the profile's
  /// contexts, constant beyond them. None where one that this needs was not measured.
  std::optional<double> output_token(const Setting& setting, std::size_t batch,
                                     std::size_t context) const;

 private:
  const ProfiledPass* find(const PassKey& key) const;

  const LatencyProfile& profile_;
  std::vector<Setting> settings_;
  std::set<std::size_t> prompts_, batches_, contexts_;
};

}  // namespace fp8cal
