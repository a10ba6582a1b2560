#include "coordinator/provenance.hpp"

#include <H5public.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <unistd.h>

#include <chrono>
#include <set>

#include "coordinator/version.hpp"

namespace fp8cal {
namespace {

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  return whole.substr(0, whole.find(','));
}

}  // namespace

std::string version_text() { return fmt::format("{} (git {})", kVersion, git_description()); }

std::string pcre2_version() {
  char version[64] = {};
  char unicode[64] = {};
  pcre2_config(PCRE2_CONFIG_VERSION, version);
  pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, unicode);
  return fmt::format("{}, Unicode {}", version, unicode);
}

std::string host_name() {
  char host[256] = {};
  return gethostname(host, sizeof host - 1) == 0 ? host : "unknown host";
}

std::string where_this_rank_runs(const std::string& device) {
  return fmt::format("{}: {}", host_name(), device);
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

std::string describe_run(const RunFacts& facts, const Plan& plan) {
  const std::set<std::string> places(facts.places.begin(), facts.places.end());
  return fmt::format("{}: {} on {}", facts.started, plan.grid.to_string(), fmt::join(places, "; "));
}

Attributes make_provenance(const Job& job, const Plan& plan, const RunFacts& facts) {
  return {{"job_file", job.file_text},
          {"command_line", facts.command_line},
          {"started", facts.started},
          {"finished", utc_now()},
          {"model_path", job.model.path},
          {"calibration_dataset", job.calibration.dataset},
          {"evaluation_dataset", job.evaluation.dataset},
          {"places", facts.places},
          {"warnings", facts.warnings},
          {kTimeline, facts.timeline},
          {"earlier_runs", facts.earlier_runs},
          {"progress_saves", static_cast<std::int64_t>(facts.progress_saves)},
          {"progress_seconds", facts.progress_seconds},
          {"gemm_check", facts.gemm_check},
          {"version", version_text()},
          {"compiler", __VERSION__},
          {"mpi", mpi_version()},
          {"hdf5", H5_VERS_INFO},
          {"pcre2", pcre2_version()},
          {"partition", plan.grid.to_string()},
          {"partition_reason", plan.reason},
          {"ranks", static_cast<std::int64_t>(plan.ranks.size())},
          {"microbatch", static_cast<std::int64_t>(plan.work.microbatch)},
          {"device_memory_planned", static_cast<std::int64_t>(plan.memory.total())},
          {"device_memory_peak", static_cast<std::int64_t>(facts.peak_memory)},
          {"layers_at_once", static_cast<std::int64_t>(plan.layers_at_once)},
          {"weights_streamed", plan.streams() ? "yes" : "no"}};
}

}  // namespace fp8cal
