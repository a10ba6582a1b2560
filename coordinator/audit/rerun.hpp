#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/inputs.hpp"
#include "jobs/job.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {

/// A stored job, ready to be run again.
struct Rerun {
  Job job;
  Inputs inputs;
};

/// Whether a rerun may set this job key: model.path, and what says where and how it is run.
bool may_change_in_rerun(const std::string& key);

/// How to run it: `options`, and where they are silent the job file (empty: none). What else the
/// file says is the stored job's to say, and is passed over. Throws InputError as read_job_values
/// does and for an option that a rerun may not set.
std::vector<JobOption> rerun_options(const std::filesystem::path& job_file,
                                     std::vector<JobOption> options);

/// The job of `stored`, read from `where`, with its own tokens: only the weights come from the
/// model's folder, where they were or where `options` say. Nothing writes its output.result, which
/// is `where`. Throws InputError where the model there is not the stored one or has another
/// tokenizer, where the result was derived by 'fp8cal scales', which ran nothing, and where it
/// lacks what a job needs.
Rerun rerun_of(const StoredResult& stored, const std::string& where,
               const std::vector<JobOption>& options);

}  // namespace fp8cal
