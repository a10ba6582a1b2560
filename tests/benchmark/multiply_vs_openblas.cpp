// Fails where our bf16 product is slower than a third of OpenBLAS's sgemm on one thread.

#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>

#include "kernels/cpu/cpu_backend.hpp"
#include "tests/benchmark/openblas.hpp"

namespace fp8cal {
namespace {

constexpr double kLeastShare = 1.0 / 3.0;

template <class Call>
double seconds(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Best of several repetitions, alternating so that both meet the same disturbances.
bool fast_enough(Backend& backend, std::size_t rows, std::size_t columns, std::size_t depth) {
  ProductOperands operands(rows, columns, depth);
  const Matrix x = Matrix::dense(operands.x.data(), DType::bf16, rows, depth);
  const Matrix weight = Matrix::dense(operands.weight.data(), DType::bf16, columns, depth);
  const Matrix out = Matrix::dense(operands.out.data(), DType::bf16, rows, columns);
  double ours = std::numeric_limits<double>::infinity();
  double theirs = ours;
  const int repetitions = operands.flops() > 1e10 ? 5 : 20;
  for (int i = 0; i < repetitions; ++i) {
    theirs = std::min(theirs, seconds([&] { operands.multiply_with_openblas(); }));
    ours = std::min(ours, seconds([&] { backend.multiply(x, weight, out); }));
  }
  const double share = theirs / ours;
  std::printf("%5zu x %5zu x %5zu: ours %6.1f GFLOP/s, OpenBLAS (%s) %6.1f GFLOP/s: %3.0f %%\n",
              rows, columns, depth, operands.flops() / ours * 1e-9, openblas_get_corename(),
              operands.flops() / theirs * 1e-9, 100 * share);
  return share >= kLeastShare;
}

}  // namespace
}  // namespace fp8cal

int main(int, char** arguments) {
  fp8cal::use_fitting_openblas_core(arguments);
  const auto backend = fp8cal::make_cpu_backend(1);
  bool all = fp8cal::fast_enough(*backend, 512, 1536, 512);
  all = fp8cal::fast_enough(*backend, 1024, 1024, 1024) && all;
  all = fp8cal::fast_enough(*backend, 2048, 4096, 4096) && all;
  return all ? 0 : 1;
}
