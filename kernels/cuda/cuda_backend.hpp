#pragma once

#include <memory>

#include "kernels/backend.hpp"

namespace fp8cal {

/// How many CUDA devices this process sees: 0 also without a driver or without CUDA compiled in.
int cuda_device_count();

/// The backend on the device of that ordinal. To be called from one thread. Throws
/// std::invalid_argument where there is no such device or CUDA is not compiled in.
std::unique_ptr<Backend> make_cuda_backend(int device);

}  // namespace fp8cal
