#pragma once

#include "coordinator/checkpoint/export.hpp"
#include "jobs/job.hpp"

namespace fp8cal {

/// How a job writes its FP8 checkpoint.
ExportRequest checkpoint_request(const Job& job);

/// Throws InputError where the checkpoint that a job is to write, if any, cannot hold the recipe,
/// would lie around the result, or has an unfit folder. Leaves nothing behind.
void check_checkpoint_output(const Job& job);

}  // namespace fp8cal
