#include <fmt/format.h>

#include <cmath>

#include "jobs/attributes_to_take.hpp"
#include "jobs/result_parts.hpp"
#include "jobs/result_parts_support.hpp"

namespace fp8cal {
namespace {

/// A figure stands in the file for its other readers: it must be what the predictions say.
void require_figure(const BoundedGroup& group, const char* name, double found, double expected) {
  // Another C library may round exp otherwise. An infinite perplexity is just that.
  const double tolerance = std::isfinite(expected) ? 1e-12 * std::abs(expected) : 0.0;
  if (found == expected || std::abs(found - expected) <= tolerance) return;
  throw InputError(group.describe(name), "value", fmt::to_string(expected), fmt::to_string(found));
}

bool is_finite(float value) { return std::isfinite(value); }

QuantizationError read_quantization_error(const BoundedGroup& group) {
  AttributesToTake attributes(group);
  const auto count = [&](const char* name) {
    const auto value = attributes.take<std::int64_t>(name);
    if (value >= 0) return static_cast<std::uint64_t>(value);
    throw InputError(group.describe(name), "value", "a count", fmt::to_string(value));
  };
  const auto sum = [&](const char* name) {
    const auto value = attributes.take<double>(name);
    if (std::isfinite(value) && value >= 0) return value;
    throw InputError(group.describe(name), "value", "a sum of squares", fmt::to_string(value));
  };
  const QuantizationError error = {count("elements"), count("clipped"), count("flushed"),
                                   sum("energy"), sum("squared_error")};
  attributes.require_none_left();
  return error;
}

/// nll and, where there is one, the comparison with bf16.
Perplexity read_predictions(const BoundedGroup& group, const TokenWindows& evaluation) {
  group.require_only({"nll", "kl", "same_top"});
  if (evaluation.windows() == 0 || evaluation.sequence_length < 2) {
    throw InputError(group.describe("nll"), "size", "no predictions of no evaluation text", "some");
  }
  Perplexity perplexity;
  perplexity.windows = evaluation.windows();
  perplexity.predictions = evaluation.sequence_length - 1;
  const hdf5::Shape shape = {perplexity.windows, perplexity.predictions};
  perplexity.nll = group.numbers<float>("nll", shape, "nats");
  require_each(group, "nll", perplexity.nll, "finite", is_finite);
  if (!group.has("kl") && !group.has("same_top")) return perplexity;
  perplexity.kl = group.numbers<float>("kl", shape, "nats");
  require_each(group, "kl", perplexity.kl, "finite", is_finite);
  perplexity.same_top = group.numbers<std::uint8_t>("same_top", shape);
  require_each(group, "same_top", perplexity.same_top, "0 or 1",
               [](std::uint8_t value) { return value <= 1; });
  return perplexity;
}

PerplexityDifference read_difference(const BoundedGroup& group, AttributesToTake& attributes) {
  const PerplexityDifference found = {attributes.take<double>("ppl_difference"),
                                      attributes.take<double>("ppl_difference_low"),
                                      attributes.take<double>("ppl_difference_high")};
  const bool finite =
      std::isfinite(found.difference) && std::isfinite(found.low) && std::isfinite(found.high);
  if (finite && found.low <= found.high) return found;
  throw InputError(group.describe("ppl_difference"), "value", "finite numbers, low not above high",
                   fmt::format("{}, {} to {}", found.difference, found.low, found.high));
}

void read_variant(const std::string& name, const BoundedGroup& group, Result& result) {
  const Perplexity& perplexity =
      result.perplexity.emplace(name, read_predictions(group, result.evaluation)).first->second;
  AttributesToTake attributes(group);
  require_figure(group, "ppl", attributes.take<double>("ppl"), perplexity.ppl());
  require_figure(group, "tokens", static_cast<double>(attributes.take<std::int64_t>("tokens")),
                 static_cast<double>(perplexity.tokens()));
  if (!perplexity.kl.empty()) {
    require_figure(group, "mean_kl", attributes.take<double>("mean_kl"), perplexity.mean_kl());
    require_figure(group, "top1_agreement", attributes.take<double>("top1_agreement"),
                   perplexity.top1_agreement());
  }
  if (attributes.has("ppl_difference")) {
    result.differences[name] = read_difference(group, attributes);
  }
  attributes.require_none_left();
}

}  // namespace

void read_diagnostics(const BoundedGroup& root, Result& result) {
  if (!root.has("diagnostics")) return;
  const auto read = [&result](const std::string& recipe, const BoundedGroup& group) {
    auto& tensors = result.diagnostics[recipe];
    for_each_group(group, 0, [&tensors](const std::string& name, const BoundedGroup& tensor) {
      tensors.emplace(name, read_quantization_error(tensor));
    });
  };
  for_each_group(root.group("diagnostics", kMaxVariants), kMaxModules, read);
}

void read_perplexity(const BoundedGroup& root, Result& result) {
  if (!root.has("perplexity")) return;
  const auto read = [&result](const std::string& variant, const BoundedGroup& group) {
    read_variant(variant, group, result);
  };
  for_each_group(root.group("perplexity", kMaxVariants), kMaxLinks, read);
}

}  // namespace fp8cal
