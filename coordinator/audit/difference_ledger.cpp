#include "coordinator/audit/difference_ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace fp8cal {
namespace {

constexpr std::size_t kMostMissing = 1000;  // kept, of files that have nothing in common

double relative_distance(float a, float b) {
  const double larger = std::max(std::fabs(double{a}), std::fabs(double{b}));
  return larger == 0 ? 0 : std::fabs(double{a} - double{b}) / larger;
}

bool is_of_a_layer(Kind kind) {
  return kind == Kind::histograms || kind == Kind::amax || kind == Kind::channel_amax;
}

}  // namespace

double bf16_steps(float a, float b) {
  constexpr int kFractionBits = 7;
  constexpr int kLeastExponent = -126;
  const double larger = std::max(std::fabs(double{a}), std::fabs(double{b}));
  if (larger == 0) return 0;
  const int exponent = std::max(std::ilogb(larger), kLeastExponent);
  return std::ldexp(std::fabs(double{a} - double{b}), kFractionBits - exponent);
}

void DifferenceLedger::add(Kind kind, Difference difference, bool beyond) {
  KindSummary& all = summary(kind);
  ++all.differing;
  all.largest_relative = std::max(all.largest_relative, difference.relative);
  if (beyond) {
    ++all.beyond;
    if (!comparison_.cause) {
      comparison_.cause = difference;
      comparison_.cause_kind = kind;
    }
    if (!comparison_.first_layer && is_of_a_layer(kind)) {
      comparison_.first_layer = difference;
      comparison_.first_layer_kind = kind;
    }
  }
  if (!all.largest || difference.size > all.largest->size) all.largest = difference;
  if (!all.first) all.first = std::move(difference);
}

void DifferenceLedger::add_missing(Kind kind, const std::string& object, bool only_in_a) {
  const bool told = std::ranges::find(comparison_.missing, object, &MissingPart::object) !=
                    comparison_.missing.end();
  if (!told && comparison_.missing.size() < kMostMissing) {
    comparison_.missing.push_back({object, only_in_a});
  }
  if (comparison_.cause) return;
  comparison_.cause = Difference{.object = object,
                                 .at = "",
                                 .a = only_in_a ? "present" : "absent",
                                 .b = only_in_a ? "absent" : "present",
                                 .size = std::numeric_limits<double>::infinity()};
  comparison_.cause_kind = kind;
}

bool DifferenceLedger::tolerated(Kind kind, double relative) const {
  if (tolerances().exact() || kind == Kind::weights) return false;
  if (kind == Kind::scales || kind == Kind::amax) return relative <= tolerances().scale;
  return true;  // told, but not judged
}

void DifferenceLedger::compare_floats(Kind kind, const std::string& object, const char* element,
                                      std::span<const float> a, std::span<const float> b) {
  count(kind);
  Difference difference = {.object = object, .at = "size", .a = "", .b = ""};
  if (a.size() != b.size()) {
    difference.a = fmt::to_string(a.size());
    difference.b = fmt::to_string(b.size());
    difference.size = std::numeric_limits<double>::infinity();
    return add(kind, std::move(difference), true);
  }
  bool differs = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(b[i])) continue;
    const double steps = bf16_steps(a[i], b[i]);
    difference.relative = std::max(difference.relative, relative_distance(a[i], b[i]));
    if (differs && steps <= difference.size) continue;
    differs = true;
    difference.at = a.size() == 1 ? "" : fmt::format("{} {}", element, i);
    difference.a = fmt::to_string(a[i]);
    difference.b = fmt::to_string(b[i]);
    difference.size = steps;
  }
  if (!differs) return;
  const bool beyond = !tolerated(kind, difference.relative);
  add(kind, std::move(difference), beyond);
}

}  // namespace fp8cal
