#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "coordinator/audit/compare_parts.hpp"
#include "coordinator/audit/flow_order.hpp"

namespace fp8cal {
namespace {

/// Calls both(name, a, b) for each name of two maps, or tells that one of them lacks it. key: what
/// names are ordered by.
template <class Map, class Key, class Both>
void for_each_pair(Kind kind, const std::string& group, const Map& a, const Map& b, Key key,
                   DifferenceLedger& ledger, Both both) {
  std::set<std::pair<decltype(key(std::string())), std::string>> names;
  for (const Map* side : {&a, &b}) {
    for (const auto& [name, one] : *side) names.insert({key(name), name});
  }
  for (const auto& [order, name] : names) {
    const auto in_a = a.find(name);
    const auto in_b = b.find(name);
    if (in_a == a.end() || in_b == b.end()) {
      ledger.add_missing(kind, group + name, in_a != a.end());
    } else {
      both(group + name, in_a->second, in_b->second);
    }
  }
}

bool is_not_bf16(const std::string& variant) { return variant != "bf16"; }
std::string itself(const std::string& name) { return name; }

void compare_module(const std::string& object, const ModuleScales& a, const ModuleScales& b,
                    DifferenceLedger& ledger) {
  const auto compare_one = [&](const char* name, std::vector<float> ModuleScales::*scale) {
    const std::vector<float>& in_a = a.*scale;
    const std::vector<float>& in_b = b.*scale;
    if (in_a.empty() && in_b.empty()) return;
    if (in_a.empty() || in_b.empty()) {
      ledger.add_missing(Kind::scales, object + name, !in_a.empty());
    } else {
      ledger.compare_floats(Kind::scales, object + name, "scale", in_a, in_b);
    }
  };
  compare_one("/weight_scale", &ModuleScales::weight_scale);
  compare_one("/input_scale", &ModuleScales::input_scale);
  compare_one("/k_scale", &ModuleScales::k_scale);
  compare_one("/v_scale", &ModuleScales::v_scale);
}

double relative_distance(double a, double b) {
  const double larger = std::max(std::fabs(a), std::fabs(b));
  return larger == 0 ? 0 : std::fabs(a - b) / larger;
}

/// The figure of the two that are the furthest apart.
void compare_errors(const std::string& object, const QuantizationError& a,
                    const QuantizationError& b, DifferenceLedger& ledger) {
  ledger.count(Kind::diagnostics);
  if (a == b) return;
  Difference difference = {.object = object, .at = "", .a = "", .b = ""};
  const auto consider = [&](const char* name, auto in_a, auto in_b) {
    const double distance = relative_distance(static_cast<double>(in_a), static_cast<double>(in_b));
    if (in_a == in_b || (!difference.at.empty() && distance <= difference.size)) return;
    difference.at = std::string("attribute ") + name;
    difference.a = fmt::to_string(in_a);
    difference.b = fmt::to_string(in_b);
    difference.size = distance;
  };
  consider("elements", a.elements, b.elements);
  consider("clipped", a.clipped, b.clipped);
  consider("flushed", a.flushed, b.flushed);
  consider("energy", a.energy, b.energy);
  consider("squared_error", a.squared_error, b.squared_error);
  ledger.add(Kind::diagnostics, std::move(difference), ledger.tolerances().exact());
}

/// Where prediction i of a variant stands, and which token it predicts.
std::string token_at(std::size_t i, const Perplexity& variant, const TokenWindows& evaluation) {
  const std::size_t window = i / variant.predictions;
  const std::size_t position = i % variant.predictions + 1;
  return fmt::format("window {}, position {}, token {}", window, position,
                     evaluation.tokens[window * evaluation.sequence_length + position]);
}

/// scores: nll, kl or same_top, of equal sizes; told by the largest difference.
template <class T>
void compare_predictions(Kind kind, const std::string& object, const std::vector<T>& a,
                         const std::vector<T>& b, const Perplexity& variant,
                         const TokenWindows& evaluation, DifferenceLedger& ledger) {
  ledger.count(kind);
  std::size_t differing = 0;
  std::size_t at = 0;
  double largest = -1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] && std::signbit(a[i]) == std::signbit(b[i])) continue;
    ++differing;
    const double distance = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (distance <= largest) continue;
    largest = distance;
    at = i;
  }
  if (differing == 0) return;
  ledger.add(kind,
             {.object = object,
              .at = token_at(at, variant, evaluation),
              .a = fmt::to_string(a[at]),
              .b = fmt::to_string(b[at]),
              .size = kind == Kind::same_top ? static_cast<double>(differing) : largest,
              .of = fmt::to_string(a.size())},
             ledger.tolerances().exact());
}

void compare_ppl(const std::string& object, const Perplexity& a, const Perplexity& b,
                 DifferenceLedger& ledger) {
  ledger.count(Kind::perplexity);
  if (a.ppl() == b.ppl()) return;
  const double difference = b.ppl() - a.ppl();
  ledger.add(Kind::perplexity,
             {.object = object,
              .at = "attribute ppl",
              .a = fmt::format("{:.6f}", a.ppl()),
              .b = fmt::format("{:.6f}", b.ppl()),
              .size = std::fabs(difference)},
             !(std::fabs(difference) <= ledger.tolerances().ppl));
}

void compare_variant(const std::string& object, const Perplexity& a, const Perplexity& b,
                     const TokenWindows& evaluation, DifferenceLedger& ledger) {
  compare_ppl(object, a, b, ledger);
  // Of other windows only the perplexity can be compared.
  if (a.windows != b.windows || a.predictions != b.predictions) return;
  compare_predictions(Kind::nll, object + "/nll", a.nll, b.nll, a, evaluation, ledger);
  if (a.kl.empty() != b.kl.empty()) {
    return ledger.add_missing(Kind::kl, object + "/kl", !a.kl.empty());
  }
  if (a.kl.empty()) return;
  compare_predictions(Kind::kl, object + "/kl", a.kl, b.kl, a, evaluation, ledger);
  compare_predictions(Kind::same_top, object + "/same_top", a.same_top, b.same_top, a, evaluation,
                      ledger);
}

void compare_interval(const std::string& object, const PerplexityDifference& a,
                      const PerplexityDifference& b, DifferenceLedger& ledger) {
  ledger.count(Kind::intervals);
  const double size = std::max({std::fabs(a.difference - b.difference), std::fabs(a.low - b.low),
                                std::fabs(a.high - b.high)});
  if (size == 0) return;
  const auto shown = [](const PerplexityDifference& one) {
    return fmt::format("{:+.6f} ({:+.6f} to {:+.6f})", one.difference, one.low, one.high);
  };
  ledger.add(Kind::intervals,
             {.object = object,
              .at = "attribute ppl_difference",
              .a = shown(a),
              .b = shown(b),
              .size = size},
             ledger.tolerances().exact());
}

}  // namespace

void compare_scales(const Result& a, const Result& b, DifferenceLedger& ledger) {
  for_each_pair(Kind::scales, "/scales/", a.scales, b.scales, itself, ledger,
                [&](const std::string& recipe, const auto& in_a, const auto& in_b) {
                  for_each_pair(Kind::scales, recipe + "/", in_a, in_b, module_order, ledger,
                                [&](const std::string& object, const auto& one, const auto& other) {
                                  compare_module(object, one, other, ledger);
                                });
                });
}

void compare_diagnostics(const Result& a, const Result& b, DifferenceLedger& ledger) {
  for_each_pair(Kind::diagnostics, "/diagnostics/", a.diagnostics, b.diagnostics, itself, ledger,
                [&](const std::string& recipe, const auto& in_a, const auto& in_b) {
                  for_each_pair(Kind::diagnostics, recipe + "/", in_a, in_b, module_order, ledger,
                                [&](const std::string& object, const auto& one, const auto& other) {
                                  compare_errors(object, one, other, ledger);
                                });
                });
}

void compare_perplexity(const Result& a, const Result& b, DifferenceLedger& ledger) {
  const std::string group = "/perplexity/";
  for_each_pair(Kind::perplexity, group, a.perplexity, b.perplexity, is_not_bf16, ledger,
                [&](const std::string& object, const Perplexity& one, const Perplexity& other) {
                  compare_variant(object, one, other, a.evaluation, ledger);
                });
  for_each_pair(Kind::intervals, group, a.differences, b.differences, is_not_bf16, ledger,
                [&](const std::string& object, const auto& one, const auto& other) {
                  compare_interval(object, one, other, ledger);
                });
}

}  // namespace fp8cal
