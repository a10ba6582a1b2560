#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/matrix.hpp"

namespace fp8cal {

/// Sets *sum, in device memory, to a checksum of the bits of x [any, any], whatever lies between
/// its rows. Of two matrices of one shape, dtype, stride and alignment that differ in one element
/// it differs always, else but for a chance of about 2^-64. Reads each byte once.
void cuda_checksum(cudaStream_t stream, ConstMatrix x, std::uint64_t* sum);

}  // namespace fp8cal
