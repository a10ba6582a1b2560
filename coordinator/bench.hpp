#pragma once

#include <mpi.h>

#include "coordinator/bench_report.hpp"
#include "jobs/job.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Times the stages of a job as run_job would run them, each after a warm-up microbatch, then the
/// kernels of one microbatch; writes nothing. Chunks of streamed weights are added up; their "load"
/// is the time waited for weights. Calibrating includes merging the statistics, evaluating a recipe
/// includes quantizing the weights; the kernels of a microbatch include neither. Collective over
/// `world`; the report is for rank 0. Throws as run_job does.
BenchReport run_bench(const Job& job, const Control& control, MPI_Comm world,
                      ProgressListener& progress);

}  // namespace fp8cal
