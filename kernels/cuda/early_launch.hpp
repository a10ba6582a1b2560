#pragma once

namespace fp8cal {

/// Whether a kernel may start on the current device while the one before it runs: from sm_90 on.
bool can_launch_early();

}  // namespace fp8cal
