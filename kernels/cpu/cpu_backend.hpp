#pragma once

#include <memory>

#include "kernels/backend.hpp"

namespace fp8cal {

/// The reference backend: plain memory, `threads` threads (at least 1).
std::unique_ptr<Backend> make_cpu_backend(int threads);

}  // namespace fp8cal
