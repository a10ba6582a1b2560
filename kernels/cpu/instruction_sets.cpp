#include "kernels/cpu/instruction_sets.hpp"

namespace fp8cal {

std::vector<const VectorKernels*> available_vector_kernels() {
  std::vector<const VectorKernels*> available;
#ifdef FP8CAL_X86_KERNELS
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx2 && has_avx512) available.push_back(&avx512_kernels());
  if (has_avx2) available.push_back(&avx2_kernels());
#endif
  available.push_back(&baseline_kernels());
  return available;
}

}  // namespace fp8cal
