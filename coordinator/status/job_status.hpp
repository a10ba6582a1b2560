#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "jobs/error.hpp"

namespace fp8cal {

/// What the file of runtime.status says of a job: one JSON object with "format": "fp8cal-status",
/// "version": 1 and a key for each of these, null where there is none.
struct JobStatus {
  std::string state = "running";  ///< running, done, gate_failed, differs, stopped or failed
  std::string message;            ///< of a job that failed or stopped: its line
  std::optional<int> exit_code;   ///< of a job that has ended
  std::string stage;              ///< such as "calibrate layers 0-31"
  std::optional<std::uint64_t> layer;
  std::string unit;  ///< what the stage counts, such as "sequences"; empty: nothing
  std::uint64_t done = 0;
  std::uint64_t units = 0;
  std::optional<double> tokens_per_second;
  std::optional<double> seconds_left;  ///< of the stage
  std::string started;                 ///< UTC, "2026-01-31T23:59:59Z"
  std::string updated;                 ///< likewise: when this was written
  std::string host;                    ///< of rank 0
  std::uint64_t pid = 0;               ///< of rank 0
  std::uint64_t ranks = 1;
  std::optional<std::string> partition;   ///< as Grid::to_string; none until planned
  std::optional<std::string> slurm_job;   ///< "123", or "120_3" for a task of an array
  std::uint64_t restarts = 0;             ///< that Slurm counts
  std::string result;                     ///< absolute path
  std::optional<std::string> checkpoint;  ///< absolute path of the folder of saved progress
  std::optional<std::string> digest;      ///< content digest of a result that is in place

  bool ended() const { return state != "running"; }
};

/// The state of a job that ended with this code.
std::string state_of(ExitCode code);

nlohmann::ordered_json to_json(const JobStatus& status);

/// Reads such a file, which is not trusted: its size, types and ranges are checked. Throws
/// InputError, Error with exit code 2 where it cannot be opened.
JobStatus read_status(const std::filesystem::path& file);

/// Seconds since 1970 of "2026-01-31T23:59:59Z"; none where `text` is not of that form.
std::optional<std::int64_t> parse_utc(const std::string& text);

}  // namespace fp8cal
