#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/audit/tolerances.hpp"
#include "coordinator/profile/profile_options.hpp"
#include "coordinator/submission/submit_options.hpp"
#include "jobs/job.hpp"

namespace fp8cal {

/// A parsed command line.
struct CommandLine {
  std::string command;  ///< "run", "plan", "scales", ...
  std::string subject;  ///< job file, result, folder, Slurm's id of a job, or what to help
                        ///< with; may be empty
  std::string other;    ///< audit: the result to compare with, or the job file of a
                        ///< rerun; may be empty
  std::vector<std::string> others;   ///< report: the results after the first
  std::vector<JobOption> job;        ///< --section.key value
  std::optional<int> ranks;          ///< plan --ranks N
  bool json = false;                 ///< bench, audit, status, profile --json
  std::string config;                ///< synth --config FILE
  std::uint64_t seed = 0;            ///< synth --seed N
  std::string out;                   ///< scales, export, report --out; report: may be empty
  std::string policy;                ///< scales --policy
  std::vector<std::string> recipes;  ///< scales --recipe, with --kv; empty: those of the result
  std::vector<std::string> kv;       ///< scales --kv
  std::string model;                 ///< export --model
  std::string format = "compressed-tensors";  ///< export --format
  std::string recipe;                         ///< export --recipe; empty: the result's first
  bool force = false;                         ///< export --force
  bool verify = false;                        ///< audit --verify
  bool rerun = false;                         ///< audit --rerun, with `job`
  bool tables = false;                        ///< study --tables
  std::string part;                           ///< study --part K/N; empty: all of it
  Tolerances tolerances;                      ///< audit, submit --rerun
  SubmitOptions submit;                       ///< submit
  ProfileOptions profile;                     ///< profile
  std::string csv;   ///< --csv: a file of collect, a folder of study and report; empty: none
  std::string text;  ///< as it was typed, for the record
};

/// Throws InputError naming what was not understood and the nearest that would be.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// Whether each rank of the command has a supervisor (supervision/supervisor.hpp).
bool is_supervised(const CommandLine& line);

/// The commands there are.
const std::vector<std::string>& command_names();

}  // namespace fp8cal
