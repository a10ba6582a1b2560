#pragma once

#include <memory>

#include "kernels/backend.hpp"
#include "kernels/cpu/vector_kernels.hpp"

namespace fp8cal {

/// The reference backend: plain memory, `threads` threads (at least 1).
std::unique_ptr<Backend> make_cpu_backend(int threads);

/// The same with one of available_vector_kernels(), which compute the same bits: tests compare
/// them.
std::unique_ptr<Backend> make_cpu_backend(int threads, const VectorKernels& kernels);

}  // namespace fp8cal
