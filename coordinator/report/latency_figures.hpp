#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "jobs/latency_profile.hpp"

namespace fp8cal {

/// What charts, tables and text say of one latency profile.
struct LatencyFigures {
  LatencyProfile profile;
  std::vector<std::string> answer;  ///< what it comes to, a sentence each
};

LatencyFigures latency_figures_of(LatencyProfile profile);

/// Of the file's profile, none where it is a result without one. Throws as read_profile does.
std::optional<LatencyFigures> read_latency(const std::string& file);

/// Each once, of all passes, in the order in which they come.
std::vector<std::string> variants_of(const LatencyProfile& profile);
std::vector<std::string> kv_of(const LatencyProfile& profile);

/// "fp8-static, KV in e4m3".
std::string configuration_name(const std::string& variant, const std::string& kv);

/// At what passes of several variants can be compared.
struct PassPoint {
  bool decodes = false;
  std::size_t sequences = 1;
  std::size_t tokens = 0;  ///< of the prompt, or of each sequence

  friend auto operator<=>(const PassPoint&, const PassPoint&) = default;
};

/// "a prompt of 2K tokens", "8 sequences after 32K tokens each".
std::string point_name(const PassPoint& point);

/// The points of all passes that decode, or of all that do not, also of those that do not fit;
/// shortest first.
std::vector<PassPoint> points_of(const LatencyProfile& profile, bool decodes);

/// The point in the middle of those at which the most variants were measured. None: no passes.
std::optional<PassPoint> middle_point(const LatencyProfile& profile, bool decodes);

/// Null where it was not measured.
const ProfiledPass* find_pass(const LatencyProfile& profile, const PassPoint& point,
                              const std::string& variant, const std::string& kv);

bool is_unfit(const LatencyProfile& profile, const PassPoint& point, const std::string& variant,
              const std::string& kv);

std::vector<const ProfiledPass*> passes_at(const LatencyProfile& profile, const PassPoint& point);

/// The least time that a cause could take by the ceilings, as a share of what it takes: by the
/// bytes, or by the operations in the format of the variant's products. None where no ceiling
/// bounds it.
std::optional<double> share_of_ceiling(const LatencyProfile& profile, const ProfiledPass& pass,
                                       Cause cause);

}  // namespace fp8cal
