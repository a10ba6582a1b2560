#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace fp8cal {

/// One task of a sweep: the job with other values of the swept keys.
struct SweepTask {
  std::uint64_t task = 0;  ///< its number in the Slurm array
  std::vector<std::string> values;
  std::string result;  ///< absolute path
  std::string status;  ///< absolute path of its runtime.status
};

/// What 'fp8cal submit' writes of an array of jobs, as sweep.json.
struct SweepRecord {
  std::string job;                ///< absolute path of the job file
  std::vector<std::string> keys;  ///< that are swept
  std::vector<SweepTask> tasks;   ///< by number
};

/// Reads a sweep.json, which is not trusted: its size, types and ranges are checked, and that there
/// are as many values as keys. Throws InputError, Error with exit code 2 where it cannot be opened.
SweepRecord read_sweep(const std::filesystem::path& file);

}  // namespace fp8cal
