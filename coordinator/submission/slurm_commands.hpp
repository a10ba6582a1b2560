#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/submission/cluster.hpp"

namespace fp8cal {

/// Slurm's commands. What they refuse is an Error with exit code 2 and the line that they say.
class SlurmCommands {
 public:
  /// environment: what the job will have, "NAME=value" each; see job_environment.
  explicit SlurmCommands(std::vector<std::string> environment)
      : environment_(std::move(environment)) {}

  /// The nodes of all partitions.
  std::vector<NodeGroup> nodes() const;

  /// The user's job, queued or running, that has this comment; none where there is none.
  std::optional<std::string> job_with_comment(const std::string& comment) const;

  /// Submits a script, which sbatch copies. Returns the job's id. Throws Error with exit code 1
  /// where it is not clear whether Slurm has the job.
  std::string submit(const std::filesystem::path& script,
                     const std::vector<std::string>& options) const;

 private:
  std::vector<std::string> environment_;
};

/// `environment` without what would speak against a batch script, or for another job: variables
/// that sbatch prefers to lines of the script (sbatch(1), input environment variables), or that
/// make it wait for the job, and those of an allocation that the user may be in.
std::vector<std::string> job_environment(const std::vector<std::string>& environment);

/// What a command of Slurm says of a refusal on its standard error: the fatal error, else the first
/// one, else the first line.
std::string refusal_of(const std::string& errors);

}  // namespace fp8cal
