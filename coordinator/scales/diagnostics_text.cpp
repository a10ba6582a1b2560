#include "coordinator/scales/diagnostics_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "coordinator/scales/convergence.hpp"
#include "coordinator/scales/outlier_advice.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"
#include "jobs/recipe.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kAdviceShown = 5;

std::string share(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{:.4f} %", 100.0 * static_cast<double>(part) /
                                     static_cast<double>(std::max<std::uint64_t>(1, whole)));
}

std::string decibels(double value) {
  return std::isfinite(value) ? fmt::format("{:.1f} dB", value) : "exact";
}

/// All tensors of one recipe, and the one that suffers most.
std::string row(const std::string& recipe,
                const std::map<std::string, QuantizationError>& tensors) {
  QuantizationError sum;
  double decibel_sum = 0;
  std::size_t inexact = 0;
  const auto worst =
      std::ranges::min_element(tensors, {}, [](const auto& one) { return sqnr_db(one.second); });
  for (const auto& [module, error] : tensors) {
    sum.elements += error.elements;
    sum.clipped += error.clipped;
    sum.flushed += error.flushed;
    const double sqnr = sqnr_db(error);
    if (!std::isfinite(sqnr)) continue;
    decibel_sum += sqnr;
    ++inexact;
  }
  const double mean = inexact == 0 ? HUGE_VAL : decibel_sum / static_cast<double>(inexact);
  return fmt::format("{:<28} {:>7} {:>10} {:>10} {:>9} {:>9}  {:.1f} bits in {}\n", recipe,
                     tensors.size(), share(sum.clipped, sum.elements),
                     share(sum.flushed, sum.elements), decibels(mean),
                     decibels(sqnr_db(worst->second)), effective_bits(worst->second), worst->first);
}

std::string error_table(const Result& result) {
  if (result.diagnostics.empty()) return "";
  std::string text = fmt::format("\n{:<28} {:>7} {:>10} {:>10} {:>9} {:>9}\n", "quantized",
                                 "tensors", "clipped", "flushed", "mean SQNR", "worst");
  for (const auto& [recipe, tensors] : result.diagnostics) {
    std::map<std::string, QuantizationError> weights, others;
    for (const auto& [tensor, error] : tensors) {
      (tensor.ends_with(kWeightSuffix) ? weights : others)[tensor] = error;
    }
    if (!others.empty()) text += row(recipe, others);
    // Keys and values change nothing about weights.
    const std::string linear = recipe.substr(0, recipe.find(kKvMark));
    const bool told = linear != recipe && result.diagnostics.contains(linear);
    if (!weights.empty() && !told) text += row(linear + ", weights", weights);
  }
  return text;
}

}  // namespace

std::string describe_convergence(const Result& result) {
  const auto sequences = static_cast<std::uint32_t>(result.sample_ids.size());
  std::size_t known = 0;
  std::size_t growing = 0;
  double most = 0;
  std::string where;
  for (const auto& [module, tensor] : result.activations) {
    const auto growth =
        convergence_of(tensor.snapshots, amax_of_histogram(tensor.histogram), sequences);
    if (!growth) continue;
    ++known;
    growing += growth->converged() ? 0 : 1;
    if (growth->growth <= most) continue;
    most = growth->growth;
    where = module;
  }
  if (known == 0) return "";
  if (growing == 0) {
    return fmt::format(
        "converged: amax grew by {:.1f} % at most over the last doubling of the sequences",
        100 * most);
  }
  return fmt::format(
      "not converged: amax of {} of {} tensors grew by more than 5 % over the last doubling of "
      "the sequences, by {:.1f} % in {}",
      growing, known, 100 * most, where);
}

std::set<std::string> describe_outliers(const Result& result) {
  std::set<std::string> lines;
  for (const auto& [recipe, modules] : result.scales) {
    for (const auto& [module, tensor] : result.activations) {
      const auto scales = modules.find(module);
      if (scales == modules.end() || scales->second.input_scale.empty()) continue;
      const auto found =
          advise_on_outliers(module, Distribution(tensor.histogram), tensor.channel_amax,
                             scales->second.input_scale.front(), Fp8Format::e4m3);
      if (found) lines.insert(to_text(*found));
    }
  }
  return lines;
}

std::string describe_diagnostics(const Result& result) {
  std::string text = error_table(result);
  const std::string convergence = describe_convergence(result);
  if (!convergence.empty()) text += "\n" + convergence + "\n";
  const std::set<std::string> lines = describe_outliers(result);
  std::size_t shown = 0;
  for (const std::string& line : lines) {
    if (shown++ == kAdviceShown) break;
    text += line + "\n";
  }
  if (lines.size() > kAdviceShown) {
    text += fmt::format("and {} tensors more with costly outlier channels\n",
                        lines.size() - kAdviceShown);
  }
  return text;
}

}  // namespace fp8cal
