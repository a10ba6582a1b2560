#include "coordinator/supervision/guards.hpp"

#include <mpi.h>
#include <spdlog/spdlog.h>

#include "coordinator/supervision/watch.hpp"
#include "sharding/mpi_check.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {

void stand_guard(const Job& job, const Control& control, const Guards& guards) {
  const MonitorLimits limits{.deadline = job.runtime.deadline.count()};
  vital_signs().deadline = limits.deadline;
  int threads = MPI_THREAD_SINGLE;
  FP8CAL_MPI(MPI_Query_thread(&threads));
  const bool together = control.size() > 1 && -control.max(-threads) >= MPI_THREAD_MULTIPLE;
  if (!together && control.size() > 1 && control.rank() == 0) {
    spdlog::warn("this MPI has no MPI_THREAD_MULTIPLE: ranks watch themselves, not one another");
  }
  vital_signs().has_peers = together;
  guards.monitor.emplace(together
                             ? make_common_watch(MPI_COMM_WORLD, limits.deadline)
                             : make_lone_watch(control.rank(), control.size() > 1, limits.deadline),
                         control.rank(), limits);
  if (!job.runtime.checkpoint.empty()) guards.stop_signals.emplace();
}

}  // namespace fp8cal
