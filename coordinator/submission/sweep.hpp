#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "jobs/job.hpp"

namespace fp8cal {

/// A job key and the values that it takes, as a job file would have them.
struct SweepKey {
  std::string key;
  std::vector<std::string> values;
};

/// An array of jobs: one for each combination of values.
class Sweep {
 public:
  /// No keys: one task, the job as it is.
  Sweep() = default;

  /// Keys and their values as they are.
  explicit Sweep(std::vector<SweepKey> keys) : keys_(std::move(keys)) {}

  /// words: "key=value,value", as --array has them; a value that is a list itself is joined by '+'.
  /// given: options of all tasks. Throws InputError for a key that is none (naming the nearest),
  /// that may not be swept, comes twice or is in `given`, values that are none or come twice, and
  /// more than 1000 tasks.
  Sweep(const std::vector<std::string>& words, const std::vector<JobOption>& given);

  const std::vector<SweepKey>& keys() const { return keys_; }
  bool has(const std::string& key) const;
  std::size_t tasks() const;
  /// The value of each key in a task; the last key changes fastest.
  std::vector<std::string> values(std::size_t task) const;

 private:
  std::vector<SweepKey> keys_;
};

}  // namespace fp8cal
