#include "coordinator/profile/profile_command.hpp"

#include <fmt/format.h>

#include <string>

#include "coordinator/preparation.hpp"
#include "coordinator/profile/measure.hpp"
#include "coordinator/profile/profile_answer.hpp"
#include "coordinator/profile/profile_json.hpp"
#include "coordinator/profile/profile_request.hpp"
#include "coordinator/profile/profile_text.hpp"
#include "coordinator/progress.hpp"
#include "coordinator/provenance.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/file.hpp"
#include "jobs/profile_file.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

/// Where the profile goes; empty: nowhere.
std::string destination_of(const ProfileRequest& request, const std::string& output) {
  return output.empty() ? request.scales : output;
}

void write(const ProfileRequest& request, const std::string& destination,
           const LatencyProfile& profile) {
  if (destination.empty()) return;
  if (request.scales.empty()) return write_profile_file(destination, profile);
  add_profile(request.scales, destination, profile);
}

}  // namespace

void profile(const CommandLine& line, const Control& control, MPI_Comm world) {
  const bool leads = control.rank() == 0;
  const std::string started = utc_now();
  ProfileRequest request;
  std::string destination;
  run_agreed(control, [&] {
    const Job job = profile_job(line.job);
    request = make_request(line.profile, job, read_model_config(job.model.path), control.size(),
                           threads_per_rank(control));
    destination = destination_of(request, job.output.result);
    if (!leads) return;
    if (!request.scales.empty()) File::open(request.scales);
    if (!destination.empty()) check_writable(destination);
  });
  const auto progress = make_progress(leads ? resolve_progress("auto") : ProgressKind::none);
  LatencyProfile measured = measure(request, control, world, *progress);
  run_agreed(control, [&] {
    if (!leads) return;
    measured.version = version_text();
    measured.time = started;
    measured.command_line = line.text;
    measured.model = request.model;
    measured.scales = request.scales;
    write(request, destination, measured);
    const ProfileAnswer answer = answer_of(measured);
    if (line.json) {
      fmt::print("{}\n", profile_json(measured, answer));
      return;
    }
    fmt::print("{}", profile_text(measured, answer));
    if (!destination.empty()) fmt::print("\nresult {}\n", destination);
  });
}

}  // namespace fp8cal
