#pragma once

#include <memory>

#include "kernels/backend.hpp"

namespace fp8cal {

/// How many CUDA devices this process sees: 0 also without a driver or without CUDA compiled in.
int cuda_device_count();

/// The backend on the device of that ordinal. To be called from one thread. Throws
/// std::invalid_argument where there is no such device or CUDA is not compiled in. fp8: dequantized
/// does without FP8 tensor cores also where there are some, for tests.
std::unique_ptr<Backend> make_cuda_backend(int device, Fp8Products fp8 = Fp8Products::native);

}  // namespace fp8cal
