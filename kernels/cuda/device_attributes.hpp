#pragma once

#include <cuda_runtime_api.h>

namespace fp8cal {

/// Of the current device.
int attribute_of_device(cudaDeviceAttr attribute);

/// Whether a kernel may start on the current device while the one before it runs: from sm_90 on.
bool can_launch_early();

}  // namespace fp8cal
