#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fp8cal {

/// What a cluster's batch jobs need, the same for all users; slurm/site.conf documents the keys.
struct SiteConfig {
  std::vector<std::string> modules;    ///< for `module load`
  std::vector<std::string> container;  ///< words before the program, such as apptainer exec ...
  std::string program;                 ///< empty: this one, or "fp8cal" with a container
  std::string launcher = "mpirun";     ///< or srun
  std::vector<std::string> launcher_options;
  std::string bind = "auto";                ///< each rank to its GPU and cores; or none
  std::optional<std::uint64_t> gpu_memory;  ///< bytes of one GPU
  double gpu_tflops = 500;                  ///< of one GPU in BF16, as sustained
  std::optional<std::uint64_t> memory;      ///< bytes of a node for the job; none: as estimated
  std::string partition, account, time;     ///< where the command line has none
  int retries = 5;    ///< how often a job that was stopped or failed is tried again
  int warning = 120;  ///< seconds before the time limit at which a job saves its progress
};

/// Reads a file in INI form with the section [site]. Throws InputError for an unknown key (naming
/// the nearest one) and a bad value.
SiteConfig read_site_config(const std::filesystem::path& file);

}  // namespace fp8cal
