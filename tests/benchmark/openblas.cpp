#include "tests/benchmark/openblas.hpp"

#include <cblas.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <string>

#include "kernels/cpu/instruction_sets.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

std::vector<std::uint16_t> random_bf16(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(count);
  for (auto& value : values) value = float_to_bf16(normal(generator));
  return values;
}

std::vector<float> widened(const std::vector<std::uint16_t>& values) {
  std::vector<float> wide;
  wide.reserve(values.size());
  for (const std::uint16_t value : values) wide.push_back(bf16_to_float(value));
  return wide;
}

}  // namespace

void use_fitting_openblas_core(char** arguments) {
  const std::string ours = available_vector_kernels().front()->name;
  const char* core = ours == "avx512" ? "SKYLAKEX" : ours == "avx2" ? "HASWELL" : nullptr;
  if (core != nullptr && std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    setenv("OPENBLAS_CORETYPE", core, 1);
    execv("/proc/self/exe", arguments);  // returns only where it failed: then as it is
  }
  openblas_set_num_threads(1);
}

ProductOperands::ProductOperands(std::size_t m, std::size_t n, std::size_t k)
    : rows(m),
      columns(n),
      depth(k),
      x(random_bf16(m * k, 1)),
      weight(random_bf16(n * k, 2)),
      out(m * n),
      wide_x_(widened(x)),
      wide_weight_(widened(weight)),
      wide_out_(m * n) {}

double ProductOperands::flops() const { return 2.0 * rows * columns * depth; }

void ProductOperands::multiply_with_openblas() {
  const int m = static_cast<int>(rows), n = static_cast<int>(columns), k = static_cast<int>(depth);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, wide_x_.data(), k,
              wide_weight_.data(), k, 0.0f, wide_out_.data(), n);
}

}  // namespace fp8cal
