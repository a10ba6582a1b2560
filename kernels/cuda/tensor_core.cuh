#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

/// One PTX instruction each, from PTX ISA 7.0 on for sm_80 and later; FP8 for sm_89 and later.
/// Shared memory is addressed by its own 32-bit window. Fragments have the register layouts of
/// PTX's mma.m16n8k16 for bf16.

namespace fp8cal {

/// threadIdx.x, read anew at each call: what is computed from it then need not be held in registers
/// from one use to the next.
__device__ __forceinline__ int fresh_thread_index() {
  int index;
  asm volatile("mov.u32 %0, %%tid.x;\n" : "=r"(index));
  return index;
}

/// Starts copying 16 bytes to shared memory; zeros, and nothing is read, where not `exists`.
__device__ __forceinline__ void copy_async(unsigned shared, const __nv_bfloat16* source,
                                           bool exists) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared), "l"(source),
               "r"(exists ? 16 : 0)
               : "memory");
}

/// The same for a source at any bf16 address, done on return.
__device__ __forceinline__ void copy_narrow(unsigned shared, const __nv_bfloat16* source,
                                            bool exists) {
  std::uint32_t words[4] = {};
  if (exists) {
    const auto* elements = reinterpret_cast<const std::uint16_t*>(source);
    for (int i = 0; i < 4; ++i) {
      words[i] = elements[2 * i] | static_cast<std::uint32_t>(elements[2 * i + 1]) << 16;
    }
  }
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};\n" ::"r"(shared), "r"(words[0]),
               "r"(words[1]), "r"(words[2]), "r"(words[3])
               : "memory");
}

__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_all;\n" ::: "memory");
}

/// Closes the copies started since the last group into one.
__device__ __forceinline__ void close_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/// Waits for all groups of copies but the `left` closed last.
template <int left>
__device__ __forceinline__ void wait_for_groups() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(left) : "memory");
}

/// Four 8x8 matrices of 16-bit elements; lane l points at row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_fragments(std::uint32_t (&f)[4], unsigned shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
               : "r"(shared)
               : "memory");
}

__device__ __forceinline__ void load_transposed(std::uint32_t (&f)[4], unsigned shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
               : "r"(shared)
               : "memory");
}

/// sums [16, 8] += a [16, 16] * b [16, 8], in the register layout of PTX's mma.m16n8k16.
__device__ __forceinline__ void multiply_add(float (&sums)[4], const std::uint32_t (&a)[4],
                                             std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// The same for operands in f16.
__device__ __forceinline__ void multiply_add_f16(float (&sums)[4], const std::uint32_t (&a)[4],
                                                 std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// sums [16, 8] += a [16, 32] * b [32, 8] of e4m3, in the register layout of PTX's mma.m16n8k32.
__device__ __forceinline__ void multiply_add_e4m3(float (&sums)[4], const std::uint32_t (&a)[4],
                                                  std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// The four e4m3 of a word as f16, exactly.
__device__ __forceinline__ void widen_to_f16(std::uint32_t codes, __half2 (&halves)[2]) {
  std::uint32_t low, high;
  asm("{\n"
      ".reg .b16 low, high;\n"
      "mov.b32 {low, high}, %2;\n"
      "cvt.rn.f16x2.e4m3x2 %0, low;\n"
      "cvt.rn.f16x2.e4m3x2 %1, high;\n"
      "}\n"
      : "=r"(low), "=r"(high)
      : "r"(codes));
  halves[0] = *reinterpret_cast<const __half2*>(&low);
  halves[1] = *reinterpret_cast<const __half2*>(&high);
}

/// 2^x to 2 ulp, 0 below 2^-126.
__device__ __forceinline__ float power_of_two(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

__device__ __forceinline__ std::uint32_t pack_f16(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

}  // namespace fp8cal
