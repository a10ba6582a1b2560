#pragma once

#include <string>
#include <vector>

#include "jobs/job.hpp"
#include "jobs/result.hpp"
#include "sharding/plan.hpp"

namespace fp8cal {

/// "0.1.0 (git 1a2b3c4)", with "-dirty" where the tree had changes that were not committed.
std::string version_text();

/// "10.42 2022-12-11, Unicode 14.0.0". Its Unicode tables decide which characters are letters, and
/// so where text is split.
std::string pcre2_version();

/// Of this process; "unknown host" where it has no name.
std::string host_name();

/// One rank's "host: device".
std::string where_this_rank_runs(const std::string& device);

/// Now, in UTC, as ISO 8601.
std::string utc_now();

struct RunFacts {
  std::string command_line;
  std::string started;              ///< utc_now() at the start
  std::vector<std::string> places;  ///< where_this_rank_runs, of every rank
  std::vector<std::string> warnings;
  std::vector<std::string> earlier_runs;  ///< describe_run of those that this one goes on from
  std::size_t progress_saves = 0;         ///< of this run
  double progress_seconds = 0;            ///< that rank 0 took for them
  std::string gemm_check;                 ///< what check_gemms says
  std::vector<std::string> timeline;      ///< of gather_timeline
  std::uint64_t peak_memory = 0;  ///< Backend::peak_memory_bytes of the rank that needed most
};

/// When and where a run began, in one line.
std::string describe_run(const RunFacts& facts, const Plan& plan);

/// Everything that may differ between two equal runs.
Attributes make_provenance(const Job& job, const Plan& plan, const RunFacts& facts);

}  // namespace fp8cal
