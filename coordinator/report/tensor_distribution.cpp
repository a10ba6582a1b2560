#include "coordinator/report/tensor_distribution.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "coordinator/audit/flow_order.hpp"
#include "coordinator/scales/distribution.hpp"
#include "coordinator/scales/fp8_codes.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

/// How a recipe keeps keys and values; nothing also for names that this version does not know.
std::optional<KvFormat> kv_format(const std::string& recipe) {
  try {
    return find_recipe(recipe).kv;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

struct OneScale {
  Fp8Format format;
  float scale;
  bool per_head;
};

/// The static scale of a tensor under a recipe.
std::optional<OneScale> scale_of_tensor(const std::string& recipe,
                                        const std::map<std::string, ModuleScales>& modules,
                                        const std::string& module,
                                        const std::optional<TensorPlace>& place) {
  const bool is_key = place && place->column == static_cast<std::size_t>(Site::key);
  const bool is_value = place && place->column == static_cast<std::size_t>(Site::value);
  const bool is_input = !is_key && !is_value;
  const auto own = modules.find(is_input ? module : layer_module(place->layer, kAttentionModule));
  const auto kv = is_input ? std::nullopt : kv_format(recipe);
  if (own == modules.end() || (!is_input && !kv)) return std::nullopt;
  const ModuleScales& scales = own->second;
  const std::vector<float>& list = is_input ? scales.input_scale
                                   : is_key ? scales.k_scale
                                            : scales.v_scale;
  if (list.empty()) return std::nullopt;
  return OneScale{kv ? kv->format : Fp8Format::e4m3, *std::ranges::max_element(list),
                  list.size() > 1};
}

/// bits: the first BF16 magnitude on the upper side.
RangeEdge edge_at(const std::vector<std::uint64_t>& histogram, std::size_t bits, bool keeps_upper) {
  bits = std::min(bits, histogram.size());
  RangeEdge edge{.position = bin_position(bits), .bin = bits / kMagnitudesABin};
  const auto sum = [&](std::size_t from, std::size_t to) {
    const auto at = [&](std::size_t b) {
      return histogram.begin() + static_cast<std::ptrdiff_t>(b);
    };
    return std::accumulate(at(std::max<std::size_t>(1, from)), at(std::max<std::size_t>(1, to)),
                           std::uint64_t{0});
  };
  const std::size_t begin = edge.bin * kMagnitudesABin;
  const std::size_t end = std::min(begin + kMagnitudesABin, histogram.size());
  const std::uint64_t lower = sum(begin, bits);
  const std::uint64_t upper = sum(bits, end);
  if (lower == 0) edge.position = static_cast<double>(edge.bin);
  if (upper == 0) edge.position = static_cast<double>(edge.bin + (lower == 0 ? 0 : 1));
  edge.kept = keeps_upper ? upper : lower;
  edge.beyond = keeps_upper ? lower : upper;
  return edge;
}

ScaledRange range_of(const std::vector<std::uint64_t>& histogram, const Distribution& distribution,
                     const OneScale& one) {
  ScaledRange range{.format = one.format, .scale = one.scale, .per_head = one.per_head};
  range.largest = one.scale * largest_of(one.format);
  const std::size_t kept = Fp8Codes::of(one.format).end(0, one.scale);
  range.smallest_kept = bf16_to_float(static_cast<bf16_bits>(kept));
  range.low = edge_at(histogram, kept, true);
  // As Distribution::clipped: amax's own scale clips nothing.
  const float largest = std::nextafter(largest_of(one.format), HUGE_VALF);
  range.high = edge_at(histogram, Fp8Codes::first_above(largest, one.scale), false);
  if (!one.per_head) range.error = quantization_error(distribution, one.scale, one.format);
  return range;
}

std::vector<ScaledRange> ranges_of(const Result& result, const std::string& module,
                                   const std::optional<TensorPlace>& place,
                                   const Distribution& distribution) {
  const std::vector<std::uint64_t>& histogram = result.activations.at(module).histogram;
  std::vector<ScaledRange> ranges;
  for (const auto& [recipe, modules] : result.scales) {
    const auto one = scale_of_tensor(recipe, modules, module, place);
    if (!one) continue;
    const auto same = std::ranges::find_if(ranges, [&](const ScaledRange& other) {
      return other.scale == one->scale && other.format == one->format &&
             other.per_head == one->per_head;
    });
    ScaledRange& range =
        same == ranges.end() ? ranges.emplace_back(range_of(histogram, distribution, *one)) : *same;
    range.recipes.push_back(recipe);
  }
  return ranges;
}

/// What a tensor loses by the first of its scales; higher is worse.
std::pair<double, double> badness(const TensorDistribution& tensor) {
  const bool known = !tensor.ranges.empty() && !tensor.ranges.front().per_head;
  return {known ? -sqnr_db(tensor.ranges.front().error) : -HUGE_VAL, tensor.amax};
}

}  // namespace

std::vector<TensorDistribution> tensor_distributions(const Result& result) {
  std::map<ModuleOrder, TensorDistribution> all;
  for (const auto& [module, tensor] : result.activations) {
    const Distribution distribution(tensor.histogram);
    TensorDistribution one{.module = module,
                           .place = place_of_activation(module),
                           .bins = magnitude_bins(tensor.histogram),
                           .elements = distribution.elements(),
                           .amax = amax_of_histogram(tensor.histogram)};
    one.ranges = ranges_of(result, module, one.place, distribution);
    all.emplace(module_order(module), std::move(one));
  }
  std::vector<TensorDistribution> list;
  for (auto& [order, one] : all) list.push_back(std::move(one));
  return list;
}

std::vector<std::size_t> worst_of_columns(const std::vector<TensorDistribution>& tensors) {
  std::map<std::size_t, std::size_t> worst;  // column -> index
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].place) continue;
    const auto [entry, is_first] = worst.emplace(tensors[i].place->column, i);
    if (!is_first && badness(tensors[i]) > badness(tensors[entry->second])) entry->second = i;
  }
  std::vector<std::size_t> indices;
  for (const auto& [column, index] : worst) indices.push_back(index);
  return indices;
}

}  // namespace fp8cal
