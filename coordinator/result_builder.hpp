#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/inputs.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/job.hpp"
#include "jobs/recipe.hpp"
#include "kernels/backend.hpp"
#include "worker/layer_statistics.hpp"
#include "worker/quantized_layer.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// Changes whenever the same job may give other bits.
inline constexpr int kNumericsVersion = 1;

/// What a job file and the texts determine of the attributes of /job.
Attributes describe_content(const Job& job, const Inputs& inputs);

/// Everything that must be equal in two equal runs, but the weights_digest, which is known only
/// when all weights were read. The backend's name, and how it multiplies FP8, are part of the
/// numerics.
Attributes describe_job(const Job& job, const Inputs& inputs, const Backend& backend,
                        const Checkpoint& checkpoint);

/// The module, such as "model.layers.0.self_attn.q_proj", under whose name the distribution of
/// `site` is kept.
std::string site_module(std::size_t layer, Site site);

/// The other names of the distributions of a layer -> those that they are kept under.
std::map<std::string, std::string> site_aliases(std::size_t layer);

/// Adds one layer's distributions under the names of the modules that read them.
void add_statistics(Result& result, const LayerStatistics& statistics);

/// The same back, without the maxima of sequences. Throws InputError naming `where` for a module
/// that the result does not have.
LayerStatistics layer_statistics(const Result& result, std::size_t layer, const std::string& where);

/// Adds what the static scales of `recipe` do to the tensors that it quantizes.
void add_diagnostics(Result& result, const Recipe& recipe, const LayerStatistics& statistics,
                     const LayerScales& scales);

/// Adds what `recipe` does to the linear weights of a layer.
void add_weight_errors(Result& result, const std::string& recipe, std::size_t layer,
                       const WeightErrors& errors);

void add_scales(Result& result, const std::string& recipe, std::size_t layer,
                const LayerScales& scales);

}  // namespace fp8cal
