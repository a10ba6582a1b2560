#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fp8cal {

/// A job, or a task of an array, as squeue tells of it. Nothing in it is trusted.
struct SlurmJob {
  std::string id;                     ///< "123", or "120_3"
  std::string array_task;             ///< "3" of "120_3"; "N/A" for a job of its own
  std::optional<std::uint64_t> task;  ///< that number
  std::string state;                  ///< such as "RUNNING"
  std::string reason;                 ///< why it is pending, or "None"
  std::string restarts;
  std::string time_left, time_limit;  ///< as squeue writes them, such as "3:12"
  std::string priority;
  std::string start;  ///< when it started or is expected to; "N/A" where that is not known
  std::string name;
  std::string comment;
  std::string nodes;
};

/// What accounting knows of a job that squeue has forgotten.
struct SlurmRecord {
  std::string state;      ///< such as "COMPLETED" or "CANCELLED by 1000"
  std::string exit_code;  ///< "1:0": exit code and signal
  std::string comment;
};

/// squeue with these options, such as {"--me"}; a task of an array for itself. Throws Error in one
/// line where squeue cannot be run, does not answer, or fails: also for a job that it has
/// forgotten.
std::vector<SlurmJob> ask_squeue(const std::vector<std::string>& options);

/// None where accounting does not know it, or there is none.
std::optional<SlurmRecord> ask_sacct(const std::string& id);

/// The lines of `squeue -h -O`, with the widths that ask_squeue asks for.
std::vector<SlurmJob> parse_squeue(const std::string& text);

/// Whether `text` is the id of a job or of a task: "123" or "120_3".
bool is_slurm_id(const std::string& text);

/// Whether a job in this state will do nothing more.
bool has_ended(const std::string& state);

}  // namespace fp8cal
