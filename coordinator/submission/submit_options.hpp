#pragma once

#include <string>
#include <vector>

namespace fp8cal {

/// What `fp8cal submit` is told beside the job. Empty texts: the site's, else what Slurm does then.
struct SubmitOptions {
  int nodes = 1;
  int gpus_per_node = 1;  ///< ranks of a node; each has a GPU, but with runtime.backend = cpu
  std::string partition;
  std::string account;
  std::string time;                ///< as Slurm writes it: "90", "1:30:00", "2-12"
  std::string after;               ///< a job that must have succeeded
  std::vector<std::string> array;  ///< "calibration.seed=1,2,3", one a key
  bool study = false;              ///< the job file is a study
  std::string rerun;               ///< a result to run again, and compare with; empty: none
  std::string template_file;       ///< empty: the one that is built in
  std::string site_file;           ///< empty: the one that FP8CAL_SITE names, else none
  bool dry_run = false;
};

}  // namespace fp8cal
