#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/submission/batch_job.hpp"
#include "coordinator/submission/batch_script.hpp"
#include "coordinator/submission/forecast.hpp"
#include "coordinator/submission/site_config.hpp"

namespace fp8cal {

/// "2 nodes x 4 ranks".
std::string shape_text(const Shape& shape);

/// What a batch of jobs will do, need and write, a few lines. forecast: of the task that needs
/// most.
std::string describe_submission(const BatchJob& batch, const Forecast& forecast,
                                const BatchRequest& request, const SiteConfig& site);

/// What is there to know of a batch that Slurm took. collecting: the id of the collecting task, of
/// an array; none where Slurm refused it.
std::string describe_submitted(const BatchJob& batch, const Shape& shape, const std::string& job,
                               const std::optional<std::string>& collecting);

}  // namespace fp8cal
