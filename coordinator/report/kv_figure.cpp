#include "coordinator/report/kv_figure.hpp"

#include <algorithm>
#include <cstdint>

#include "coordinator/report/tensor_place.hpp"
#include "coordinator/scales/distribution.hpp"

namespace fp8cal {
namespace {

/// KV heads of the model; 0 where the result does not say.
std::size_t kv_heads(const Result& result) {
  const auto found = result.job.find("model.num_key_value_heads");
  const auto* heads =
      found == result.job.end() ? nullptr : std::get_if<std::int64_t>(&found->second);
  return heads != nullptr && *heads > 0 ? static_cast<std::size_t>(*heads) : 0;
}

/// channel_amax [heads * head_dim].
std::optional<float> smallest_head(const std::vector<float>& channel_amax, std::size_t heads) {
  if (heads == 0 || channel_amax.empty() || channel_amax.size() % heads != 0) return std::nullopt;
  const auto width = static_cast<std::ptrdiff_t>(channel_amax.size() / heads);
  float smallest = *std::ranges::max_element(channel_amax);
  for (auto head = channel_amax.begin(); head != channel_amax.end(); head += width) {
    smallest = std::min(smallest, *std::max_element(head, head + width));
  }
  return smallest;
}

}  // namespace

KvFigure kv_ranges(const Result& result) {
  const ScalePolicy most{.kind = ScalePolicy::Kind::percentile, .percent = 99.9};
  KvFigure figure;
  for (const auto& [module, tensor] : result.activations) {
    const auto place = place_of_activation(module);
    if (!place) continue;
    const bool is_key = place->column == static_cast<std::size_t>(Site::key);
    if (!is_key && place->column != static_cast<std::size_t>(Site::value)) continue;
    const Distribution distribution(tensor.histogram);
    (is_key ? figure.keys : figure.values)
        .push_back({.layer = place->layer,
                    .amax = amax_of_histogram(tensor.histogram),
                    .smallest_head = smallest_head(tensor.channel_amax, kv_heads(result)),
                    .most = distribution.clipping_magnitude(most, Fp8Format::e4m3)});
  }
  std::ranges::sort(figure.keys, {}, &KvRange::layer);
  std::ranges::sort(figure.values, {}, &KvRange::layer);
  return figure;
}

}  // namespace fp8cal
