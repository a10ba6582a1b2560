#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "worker/progress.hpp"

namespace fp8cal {

/// How progress is shown: a bar that is redrawn, log lines now and then, or nothing.
enum class ProgressKind { none, lines, bar };

/// kind: runtime.progress. "auto" is a bar where standard error is a terminal, also when mpirun
/// passes it on to one, and lines elsewhere.
ProgressKind resolve_progress(const std::string& kind);

/// Shows progress on standard error.
std::unique_ptr<ProgressListener> make_progress(ProgressKind kind);

}  // namespace fp8cal
