#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jobs/job.hpp"

namespace fp8cal {

/// One key of a job file.
struct JobKey {
  std::string name;                ///< "section.key"
  std::string argument;            ///< what its value is, for the help text
  std::string default_value = {};  ///< as one would write it; empty: the key may be left out
  bool required = false;
  bool is_list = false;  ///< may be repeated or hold commas
  bool is_path = false;  ///< relative to the job file
  std::string help;
  /// Stores the values (one, where it is no list). Throws InputError.
  std::function<void(Job&, const std::vector<std::string>&)> store;
};

/// All keys, section by section.
const std::vector<JobKey>& job_keys();

}  // namespace fp8cal
