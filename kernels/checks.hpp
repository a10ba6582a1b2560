#pragma once

#include <cstddef>
#include <string>

#include "kernels/backend.hpp"

namespace fp8cal {

/// Each throws std::invalid_argument that says `name`, what was expected and what was found.
/// `name` is operation and operand, for example "multiply: weight".

void expect_matrix(const char* name, const ConstMatrix& matrix, std::size_t rows, std::size_t cols,
                   DType dtype = DType::bf16);

/// A summand of a bf16 residual of rows x cols: as it is, or with its columns in parts, one below
/// the other, [parts * rows, cols / parts].
void expect_parts(const char* name, const ConstMatrix& delta, std::size_t rows, std::size_t cols);

/// The dtype may be either FP8 format.
void expect_fp8(const char* name, const ConstMatrix& matrix, std::size_t rows, std::size_t cols);

/// One scale, or one for each of `rows`.
void expect_scales(const char* name, const Scales& scales, std::size_t rows);

/// `cache` is dense, of whole sequences, `cols` columns wide, and has the scales that its dtype
/// needs: for the tensor or for each of `kv_heads`.
void expect_cache(const std::string& name, const KvCache& cache, std::size_t cols,
                  std::size_t kv_heads);

/// `value` is a multiple of `divisor`, which is not zero.
void expect_multiple(const char* name, std::size_t value, std::size_t divisor);

void expect_at_most(const char* name, std::size_t value, std::size_t most);

}  // namespace fp8cal
