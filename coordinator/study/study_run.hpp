#pragma once

#include <mpi.h>

#include <string>

#include "coordinator/study/study.hpp"
#include "sharding/control.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Writes the results that a study lacks: the weights are loaded once, each calibration runs once,
/// and each set of scales is evaluated once. A cell's result is written when its evaluations are
/// done, so that a study that is run again goes on with the others. Throws AgreedError: with exit
/// code 75 where a signal asked to stop, with exit code 2 where a result lies there that is of
/// another job or damaged. Collective over `world`, whose ranks are those of `control`.
void run_study(const Study& study, const std::string& command_line, const Control& control,
               MPI_Comm world, ProgressListener& progress);

/// Throws AgreedError, with exit code 1 where a result is missing, else as run_study does. Needs no
/// device. Collective.
void expect_results(const Study& study, const Control& control);

}  // namespace fp8cal
