#pragma once

#include "kernels/cpu/thread_pool.hpp"
#include "kernels/cpu/vector_kernels.hpp"

namespace fp8cal {

/// What the functions of this folder compute with.
struct CpuContext {
  ThreadPool& pool;
  const VectorKernels& kernels;
};

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t round_up(std::size_t a, std::size_t b) { return divide_up(a, b) * b; }

}  // namespace fp8cal
