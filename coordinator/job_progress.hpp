#pragma once

#include <memory>
#include <optional>

#include "coordinator/both_listeners.hpp"
#include "coordinator/progress.hpp"
#include "coordinator/status/status_keeper.hpp"
#include "coordinator/supervision/telling_listener.hpp"
#include "jobs/job.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// Who hears of a job's progress on this rank: its vital signs and, on rank 0, whoever looks at it
/// and the status file.
class JobProgress {
 public:
  /// status: null where no such file is kept.
  JobProgress(const Job& job, const Control& control, StatusKeeper* status)
      : shown_(make_progress(control.rank() == 0 ? resolve_progress(job.runtime.progress)
                                                 : ProgressKind::none)) {
    if (status != nullptr) both_.emplace(*shown_, *status);
    telling_.emplace(both_ ? static_cast<ProgressListener&>(*both_) : *shown_);
  }
  JobProgress(const JobProgress&) = delete;
  JobProgress& operator=(const JobProgress&) = delete;

  ProgressListener& listener() { return *telling_; }

 private:
  std::unique_ptr<ProgressListener> shown_;
  std::optional<BothListeners> both_;
  std::optional<TellingListener> telling_;
};

/// Begins to keep the file of runtime.status, on rank 0 and where the job has one.
inline void begin_status(const Job& job, const Control& control,
                         std::optional<StatusKeeper>& status) {
  if (control.rank() == 0 && !job.runtime.status.empty()) status.emplace(job, control.size());
}

}  // namespace fp8cal
