#include "coordinator/resume/saved_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jobs/error.hpp"
#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

void pack_texts(std::string& bytes, const std::map<std::string, std::string>& texts) {
  pack(bytes, static_cast<std::uint64_t>(texts.size()));
  for (const auto& [name, text] : texts) {
    pack(bytes, name);
    pack(bytes, text);
  }
}

void take_texts(Unpacker& from, std::map<std::string, std::string>& texts) {
  std::uint64_t count = 0;
  for (from.take(count); count > 0; --count) {
    std::string name;
    from.take(name);
    from.take(texts[name]);
  }
}

void require(bool holds, const char* what, const std::string& expected, const std::string& found) {
  if (holds) return;
  throw Error(ExitCode::failed, fmt::format("{}: expected {}, found {}", what, expected, found));
}

void require_size(const char* what, std::size_t expected, std::size_t found) {
  require(expected == found, what, fmt::to_string(expected), fmt::to_string(found));
}

void check_ranges(const char* what, const Ranges& ranges, std::size_t total) {
  std::size_t at = 0;
  for (const Range& one : ranges) {
    const bool holds =
        one.first >= at && one.first < total && one.count > 0 && one.count <= total - one.first;
    require(holds, what, fmt::format("runs in ascending order below {}", total),
            fmt::format("{} from {} on", one.count, one.first));
    at = one.end() + 1;  // runs that touch would be one
  }
}

void check_layer(const LayerStatistics& layer, const ModelConfig& config, const Workload& work) {
  for (std::size_t s = 0; s < kSites; ++s) {
    require_size("histogram", kHistogramSize, layer.activations[s].histogram.size());
    require_size("channels", channels_of(static_cast<Site>(s), config),
                 layer.activations[s].channel_amax.size());
    require_size("maxima of sequences", work.calibration_sequences, layer.sequence_amax[s].size());
  }
}

}  // namespace

std::string pack_progress(const SavedProgress& progress) {
  std::string bytes;
  pack_texts(bytes, progress.job);
  pack_texts(bytes, progress.tensors);
  pack(bytes, static_cast<std::uint64_t>(progress.runs.size()));
  for (const std::string& run : progress.runs) pack(bytes, run);
  pack(bytes, progress.calibrated);
  pack(bytes, static_cast<std::uint64_t>(progress.layers_done));
  pack(bytes, static_cast<std::uint64_t>(progress.hidden.size()));
  for (const HiddenFile& file : progress.hidden) bytes += pack_hidden_file(file);
  pack(bytes, static_cast<std::uint64_t>(progress.layers.size()));
  for (const LayerStatistics& layer : progress.layers) bytes += pack_statistics(layer);
  pack(bytes, progress.evaluated);
  pack(bytes, static_cast<std::uint64_t>(progress.scores.size()));
  for (const auto& [variant, scores] : progress.scores) {
    pack(bytes, variant);
    pack(bytes, scores.nll);
    pack(bytes, scores.kl);
    pack(bytes, scores.same_top);
  }
  return bytes;
}

SavedProgress unpack_progress(const std::string& bytes) {
  Unpacker from(bytes);
  SavedProgress progress;
  take_texts(from, progress.job);
  take_texts(from, progress.tensors);
  std::uint64_t count = 0;
  for (from.take(count); count > 0; --count) from.take(progress.runs.emplace_back());
  from.take(progress.calibrated);
  std::uint64_t layers_done = 0;
  from.take(layers_done);
  progress.layers_done = layers_done;
  for (from.take(count); count > 0; --count) progress.hidden.push_back(unpack_hidden_file(from));
  for (from.take(count); count > 0; --count) progress.layers.push_back(unpack_statistics(from));
  from.take(progress.evaluated);
  for (from.take(count); count > 0; --count) {
    std::string variant;
    from.take(variant);
    VariantScores& scores = progress.scores[variant];
    from.take(scores.nll);
    from.take(scores.kl);
    from.take(scores.same_top);
  }
  require(from.done(), "end", "the last score", "more");
  return progress;
}

void check_progress(const SavedProgress& progress, const ModelConfig& config,
                    const Workload& work) {
  check_ranges("calibrated", progress.calibrated, work.calibration_sequences);
  check_ranges("evaluated", progress.evaluated, work.evaluation_windows);
  require(progress.layers_done < config.num_hidden_layers, "layers done",
          fmt::format("fewer than {}", config.num_hidden_layers),
          fmt::to_string(progress.layers_done));
  const bool has_statistics = work.calibration_sequences > 0;
  require_size("layers",
               !has_statistics               ? 0
               : progress.calibrated.empty() ? progress.layers_done
                                             : config.num_hidden_layers,
               progress.layers.size());
  for (std::size_t i = 0; i < progress.layers.size(); ++i) {
    require_size("layer", i, progress.layers[i].layer);
    check_layer(progress.layers[i], config, work);
  }
  const std::size_t predictions = count_of(progress.evaluated) * (work.evaluation_length - 1);
  for (const auto& [variant, scores] : progress.scores) {
    require_size("log-likelihoods", predictions, scores.nll.size());
    require(std::ranges::all_of(scores.nll, [](float one) { return std::isfinite(one); }) &&
                std::ranges::all_of(scores.kl, [](float one) { return std::isfinite(one); }),
            "scores", "finite numbers", "others");
    const std::size_t compared = variant == "bf16" || !work.compares ? 0 : predictions;
    require_size("divergences", compared, scores.kl.size());
    require_size("marks", compared, scores.same_top.size());
  }
}

std::string describe_progress(const SavedProgress& progress, const ModelConfig& config,
                              const Workload& work) {
  if (progress.layers_done > 0) {
    return fmt::format("{} of {} layers", progress.layers_done, config.num_hidden_layers);
  }
  std::string text;
  if (work.calibration_sequences > 0) {
    text = fmt::format("{} of {} calibration sequences, ", count_of(progress.calibrated),
                       work.calibration_sequences);
  }
  return text +
         fmt::format("{} of {} windows", count_of(progress.evaluated), work.evaluation_windows);
}

}  // namespace fp8cal
