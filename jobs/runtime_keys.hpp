#pragma once

#include <vector>

#include "jobs/job_keys.hpp"

namespace fp8cal {

/// The keys of [runtime]: how a job runs. None of them changes a bit of its content.
void add_runtime_keys(std::vector<JobKey>& keys);

}  // namespace fp8cal
