#include "jobs/result_writer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/atomic_file.hpp"
#include "jobs/content_digest.hpp"
#include "jobs/error.hpp"
#include "jobs/hdf5.hpp"
#include "jobs/hdf5_memory_file.hpp"
#include "jobs/result_objects.hpp"
#include "jobs/result_validation.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

constexpr std::int64_t kFormatVersion = 1;

float largest(std::span<const float> values) {
  return values.empty() ? 0.0f : *std::ranges::max_element(values);
}

void write_vector(const Handle& group, const std::string& name, const std::vector<float>& values) {
  hdf5::write_dataset(group, name, {values.size()}, std::span(values));
}

void write_scalar(const Handle& group, const std::string& name, float value) {
  hdf5::write_dataset(group, name, {}, std::span(&value, 1));
}

void write_attributes(const Handle& group, const Attributes& attributes) {
  for (const auto& [name, attribute] : attributes) {
    std::visit([&, &key = name](const auto& value) { hdf5::write_attribute(group, key, value); },
               attribute);
  }
}

void write_provenance(const Handle& file, const Result& result) {
  const Handle group = hdf5::create_group(file, "provenance");
  Attributes attributes = result.provenance;
  const auto timeline = attributes.find(kTimeline);
  if (timeline != attributes.end()) {
    if (const auto* lines = std::get_if<std::vector<std::string>>(&timeline->second)) {
      hdf5::write_dataset(group, kTimeline, *lines);
      attributes.erase(timeline);
    }
  }
  write_attributes(group, attributes);
}

void write_windows(const Handle& group, const std::string& name, const TokenWindows& windows) {
  hdf5::write_dataset(group, name, {windows.windows(), windows.sequence_length},
                      std::span(windows.tokens));
}

void write_job(const Handle& file, const Result& result) {
  const Handle group = hdf5::create_group(file, "job");
  write_attributes(group, result.job);
  write_windows(group, "calibration_tokens", result.calibration);
  write_windows(group, "evaluation_tokens", result.evaluation);
  hdf5::write_dataset(group, "sample_ids", {result.sample_ids.size()},
                      std::span(result.sample_ids));
}

void write_snapshots(const Handle& group, const std::vector<AmaxSnapshot>& snapshots) {
  std::vector<float> amax_after;
  std::vector<std::uint32_t> sequences;
  for (const AmaxSnapshot& one : snapshots) {
    amax_after.push_back(one.amax);
    sequences.push_back(one.sequences);
  }
  write_vector(group, "amax_after", amax_after);
  const Handle counts = hdf5::write_dataset(group, "amax_after_sequences", {sequences.size()},
                                            std::span<const std::uint32_t>(sequences));
  hdf5::write_attribute(counts, "units", "sequences");
}

void write_activations(const Handle& file, const Result& result) {
  const Handle activations = hdf5::create_group(file, "activations");
  for (const auto& [name, statistics] : result.activations) {
    const Handle group = hdf5::create_group(activations, name);
    const Handle histogram = hdf5::write_dataset(group, "histogram", {statistics.histogram.size()},
                                                 std::span(statistics.histogram));
    hdf5::write_attribute(histogram, "units", "elements");
    write_vector(group, "channel_amax", statistics.channel_amax);
    write_scalar(group, "amax", amax_of_histogram(statistics.histogram));
    write_snapshots(group, statistics.snapshots);
  }
  for (const auto& [alias, name] : result.activation_aliases) {
    FP8CAL_HDF5(H5Lcreate_hard(activations.id(), name.c_str(), activations.id(), alias.c_str(),
                               H5P_DEFAULT, H5P_DEFAULT));
  }
}

void write_weights(const Handle& file, const Result& result) {
  const Handle weights = hdf5::create_group(file, "weights");
  for (const auto& [name, statistics] : result.weights) {
    const Handle group = hdf5::create_group(weights, name);
    write_scalar(group, "amax", largest(statistics.channel_amax));
    write_vector(group, "channel_amax", statistics.channel_amax);
  }
}

void write_scales(const Handle& file, const Result& result) {
  const Handle scales = hdf5::create_group(file, "scales");
  for (const auto& [recipe, modules] : result.scales) {
    const Handle recipe_group = hdf5::create_group(scales, recipe);
    for (const auto& [name, module_scales] : modules) {
      const Handle group = hdf5::create_group(recipe_group, name);
      const auto write = [&group](const char* key, const std::vector<float>& values) {
        if (!values.empty()) write_vector(group, key, values);
      };
      write("weight_scale", module_scales.weight_scale);
      write("input_scale", module_scales.input_scale);
      write("k_scale", module_scales.k_scale);
      write("v_scale", module_scales.v_scale);
    }
  }
}

void write_diagnostics(const Handle& file, const Result& result) {
  const Handle diagnostics = hdf5::create_group(file, "diagnostics");
  for (const auto& [recipe, tensors] : result.diagnostics) {
    const Handle recipe_group = hdf5::create_group(diagnostics, recipe);
    for (const auto& [name, error] : tensors) {
      const Handle group = hdf5::create_group(recipe_group, name);
      const auto count = [&group](const char* key, std::uint64_t value) {
        hdf5::write_attribute(group, key, static_cast<std::int64_t>(value));
      };
      count("elements", error.elements);
      count("clipped", error.clipped);
      count("flushed", error.flushed);
      hdf5::write_attribute(group, "energy", error.energy);
      hdf5::write_attribute(group, "squared_error", error.squared_error);
    }
  }
}

void write_comparison(const Handle& group, const Perplexity& perplexity) {
  if (perplexity.kl.empty()) return;
  const hdf5::Shape shape = {perplexity.windows, perplexity.predictions};
  const Handle kl = hdf5::write_dataset(group, "kl", shape, std::span(perplexity.kl));
  hdf5::write_attribute(kl, "units", "nats");
  hdf5::write_dataset(group, "same_top", shape, std::span(perplexity.same_top));
  hdf5::write_attribute(group, "mean_kl", perplexity.mean_kl());
  hdf5::write_attribute(group, "top1_agreement", perplexity.top1_agreement());
}

void write_difference(const Handle& group, const PerplexityDifference& difference) {
  hdf5::write_attribute(group, "ppl_difference", difference.difference);
  hdf5::write_attribute(group, "ppl_difference_low", difference.low);
  hdf5::write_attribute(group, "ppl_difference_high", difference.high);
}

void write_perplexity(const Handle& file, const Result& result) {
  const Handle variants = hdf5::create_group(file, "perplexity");
  for (const auto& [variant, perplexity] : result.perplexity) {
    const Handle group = hdf5::create_group(variants, variant);
    hdf5::write_attribute(group, "ppl", perplexity.ppl());
    hdf5::write_attribute(group, "tokens", static_cast<std::int64_t>(perplexity.tokens()));
    const Handle nll = hdf5::write_dataset(
        group, "nll", {perplexity.windows, perplexity.predictions}, std::span(perplexity.nll));
    hdf5::write_attribute(nll, "units", "nats");
    write_comparison(group, perplexity);
    const auto difference = result.differences.find(variant);
    if (difference != result.differences.end()) write_difference(group, difference->second);
  }
}

void write_everything(const Handle& file, const Result& result) {
  hdf5::write_attribute(file, "format", "fp8cal");
  hdf5::write_attribute(file, "format_version", kFormatVersion);
  write_provenance(file, result);
  write_job(file, result);
  write_activations(file, result);
  write_weights(file, result);
  write_scales(file, result);
  write_diagnostics(file, result);
  write_perplexity(file, result);
}

void verify_digest(const std::filesystem::path& path, const std::string& expected) {
  const Handle file = hdf5::open_read_only(path);
  const std::string stored = hdf5::read_string_attribute(file, "content_digest", expected.size());
  const std::string found = content_digest(file);
  if (stored != expected || found != expected) {
    throw Error(ExitCode::failed,
                fmt::format("{}: content digest read back: expected {}, found {} stored and {} "
                            "computed",
                            path.string(), expected, stored, found));
  }
}

}  // namespace

std::string write_result(const Result& result, const std::filesystem::path& path) {
  validate(result);
  hdf5::MemoryFile memory;
  write_everything(memory.handle(), result);
  const ContentDigests digests = content_digests(memory.handle());
  hdf5::write_attribute(memory.handle(), "content_digest", digests.content);
  write_object_table(hdf5::open_group(memory.handle(), "provenance"), digests.objects);
  write_atomically(path, memory.close(),
                   [&digests](const auto& written) { verify_digest(written, digests.content); });
  return digests.content;
}

std::string content_digest_of(const Result& result) {
  validate(result);
  const hdf5::MemoryFile memory;
  write_everything(memory.handle(), result);
  return content_digest(memory.handle());
}

}  // namespace fp8cal
