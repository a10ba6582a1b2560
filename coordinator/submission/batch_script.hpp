#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/submission/batch_job.hpp"
#include "coordinator/submission/site_config.hpp"

namespace fp8cal {

/// What a batch script says to Slurm beside the job.
struct BatchRequest {
  int nodes = 1;
  int ranks_per_node = 1;
  bool gpus = true;                             ///< one a rank
  std::uint64_t memory = 0;                     ///< bytes of a node
  std::uint64_t collect_memory = 0;             ///< of the collecting task
  std::string partition, account, time, after;  ///< empty: not said
  std::string device_memory;  ///< runtime.device_memory as planned; empty: the job's own
};

/// The script that runs a batch of jobs. template_file: a site's own; empty: the one that is
/// compiled in. program: the container's words and the path of fp8cal. Throws InputError as
/// render_template, bash_word and sbatch_line do.
std::string run_script(const BatchJob& batch, const BatchRequest& request, const SiteConfig& site,
                       const std::vector<std::string>& program,
                       const std::filesystem::path& template_file);

/// The script that makes one table of an array's results.
std::string collect_script(const BatchJob& batch, const BatchRequest& request,
                           const SiteConfig& site, const std::vector<std::string>& program);

}  // namespace fp8cal
