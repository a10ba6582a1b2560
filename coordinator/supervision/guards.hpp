#pragma once

#include <optional>

#include "coordinator/supervision/monitor.hpp"
#include "coordinator/supervision/stop_signals.hpp"
#include "jobs/job.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// What stands over a supervised command to its end.
struct Guards {
  std::optional<StopSignals>& stop_signals;
  std::optional<Monitor>& monitor;
};

/// Begins, when the job is read. Collective.
void stand_guard(const Job& job, const Control& control, const Guards& guards);

}  // namespace fp8cal
