// The cpu backend on one thread, and OpenBLAS's sgemm beside its products.

#include <benchmark/benchmark.h>

#include "kernels/cpu/cpu_backend.hpp"
#include "tests/benchmark/openblas.hpp"

namespace fp8cal {
namespace {

void set_flops(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] =
      benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

void set_elements(benchmark::State& state, std::size_t elements) {
  state.counters["elements/s"] = benchmark::Counter(static_cast<double>(elements),
                                                    benchmark::Counter::kIsIterationInvariantRate);
}

ProductOperands operands_of(const benchmark::State& state) {
  return {static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)),
          static_cast<std::size_t>(state.range(2))};
}

Matrix bf16(std::vector<std::uint16_t>& values, std::size_t rows, std::size_t cols) {
  return Matrix::dense(values.data(), DType::bf16, rows, cols);
}

void openblas_sgemm(benchmark::State& state) {
  ProductOperands operands = operands_of(state);
  for (auto _ : state) operands.multiply_with_openblas();
  set_flops(state, operands.flops());
}

void multiply_bf16(benchmark::State& state) {
  const auto backend = make_cpu_backend(1);
  ProductOperands operands = operands_of(state);
  const auto [m, n, k] = std::tuple{operands.rows, operands.columns, operands.depth};
  for (auto _ : state) {
    backend->multiply(bf16(operands.x, m, k), bf16(operands.weight, n, k),
                      bf16(operands.out, m, n));
  }
  set_flops(state, operands.flops());
}

void multiply_fp8(benchmark::State& state) {
  const auto backend = make_cpu_backend(1);
  ProductOperands operands = operands_of(state);
  const auto [m, n, k] = std::tuple{operands.rows, operands.columns, operands.depth};
  std::vector<std::uint8_t> x_codes(m * k), weight_codes(n * k);
  const Matrix x = Matrix::dense(x_codes.data(), DType::e4m3, m, k);
  const Matrix weight = Matrix::dense(weight_codes.data(), DType::e4m3, n, k);
  const float scale = 1.0f;
  backend->quantize(bf16(operands.x, m, k), {&scale, 1}, x);
  backend->quantize(bf16(operands.weight, n, k), {&scale, 1}, weight);
  for (auto _ : state) {
    backend->multiply_scaled(x, {&scale, 1}, weight, {&scale, 1}, bf16(operands.out, m, n));
  }
  set_flops(state, operands.flops());
}

/// One sequence; the FLOPs of the causal half.
void attention(benchmark::State& state) {
  const auto backend = make_cpu_backend(1);
  const auto length = static_cast<std::size_t>(state.range(0));
  const std::size_t head_dim = 128, q_cols = 4 * head_dim;
  ProductOperands values(length, length, q_cols);
  const Matrix q = bf16(values.x, length, q_cols);
  const Matrix kv = bf16(values.weight, length, q_cols).column_range(0, head_dim);
  std::vector<std::uint16_t> result(length * q_cols);
  for (auto _ : state) {
    backend->attention(q, kv, kv, head_dim, length, bf16(result, length, q_cols));
  }
  set_flops(state, values.flops());
}

void observe(benchmark::State& state) {
  const auto backend = make_cpu_backend(1);
  const std::size_t rows = 2048, cols = 4096;
  ProductOperands values(rows, 1, cols);
  std::vector<std::uint64_t> histogram(kHistogramBins);
  std::vector<std::uint32_t> channel_amax(cols), sequence_amax(1);
  for (auto _ : state) {
    backend->observe(bf16(values.x, rows, cols), 0, rows,
                     {histogram.data(), channel_amax.data(), sequence_amax.data()});
  }
  set_elements(state, rows * cols);
}

void products(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({512, 1536, 512})->Args({1024, 1024, 1024})->Args({2048, 4096, 4096});
  benchmark->ArgNames({"rows", "columns", "depth"})->Unit(benchmark::kMillisecond);
}

void few_rows(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 4096, 4096})->Args({16, 4096, 4096});
}

BENCHMARK(openblas_sgemm)->Apply(products)->Apply(few_rows);
BENCHMARK(multiply_bf16)->Apply(products)->Apply(few_rows);
BENCHMARK(multiply_fp8)->Apply(products)->Apply(few_rows);
BENCHMARK(attention)->ArgName("length")->Arg(512)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(observe)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fp8cal

int main(int count, char** arguments) {
  fp8cal::use_fitting_openblas_core(arguments);
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
