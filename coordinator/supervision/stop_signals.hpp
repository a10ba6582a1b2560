#pragma once

namespace fp8cal {

/// From construction on SIGTERM and SIGUSR1 ask the job to save its progress and stop; a second
/// SIGTERM ends the process at once. Only where there is a runtime.checkpoint, one at a time. After its
/// end both are ignored: the job has ended, and a process that only exits has nothing to save.
class StopSignals {
 public:
  /// Throws Error.
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();
};

/// The signal that asked to stop; 0: none yet.
int stop_requested();

}  // namespace fp8cal
