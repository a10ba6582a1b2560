#include <algorithm>
#include <array>
#include <limits>

#include "kernels/cuda/checksum.cuh"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/cuda_handles.hpp"
#include "kernels/cuda/product_search.hpp"

namespace fp8cal {
namespace {

// Enough to fill all multiprocessors many times; the fastest at these rows is near the fastest at
// any more.
constexpr std::size_t kMostRows = 8192;

// The algorithms take turns, so that a clock that changes meanwhile favours none.
constexpr std::size_t kRounds = 2;

constexpr int kUnwritten = 0xFF;  // as bf16 and as f32 a NaN

template <class Value>
using OfEach = std::array<Value, ProductAlgorithms::kRoom>;

ProductKey first_rows(const ProductKey& key) {
  ProductKey part = key;
  part.rows = std::min(key.rows, kMostRows);
  return part;
}

/// One product, by any algorithm.
class Trial {
 public:
  Trial(const ProductContext& context, const ProductKey& key, const ProductOperands& operands,
        ProductDescription& description)
      : context_(context),
        operands_(operands),
        description_(description),
        out_{operands.out, key.out_dtype, key.rows, key.columns, key.out_stride} {}

  void run(const cublasLtMatmulAlgo_t& algorithm) {
    description_.run(context_, operands_, algorithm);
  }

  /// Runs and sets context.checksums[slot]. What an earlier run has left there counts for nothing.
  void run_for_checksum(const cublasLtMatmulAlgo_t& algorithm, std::size_t slot) {
    const std::size_t element = size_of(out_.dtype);
    FP8CAL_CUDA(cudaMemset2DAsync(out_.data, out_.stride * element, kUnwritten, out_.cols * element,
                                  out_.rows, context_.stream));
    run(algorithm);
    cuda_checksum(context_.stream, out_, context_.checksums + slot);
  }

  /// Waits for the stream.
  OfEach<std::uint64_t> checksums() const {
    OfEach<std::uint64_t> sums{};
    FP8CAL_CUDA(cudaMemcpyAsync(sums.data(), context_.checksums, sizeof sums,
                                cudaMemcpyDeviceToHost, context_.stream));
    FP8CAL_CUDA(cudaStreamSynchronize(context_.stream));
    return sums;
  }

 private:
  const ProductContext& context_;
  const ProductOperands& operands_;
  ProductDescription& description_;
  Matrix out_;
};

/// Indices of algorithms.
struct Order {
  OfEach<std::size_t> all{};
  std::size_t count = 0;

  void add(std::size_t index) { all[count++] = index; }
};

/// Milliseconds of each in its better round. All is queued before anything is waited for: what the
/// host needs for a launch hides behind the products before it.
OfEach<float> measure(const ProductContext& context, Trial& trial,
                      const ProductAlgorithms& algorithms, const Order& order) {
  std::array<CudaEvent, kRounds * ProductAlgorithms::kRoom + 1> marks;
  std::size_t marked = 0;
  const auto mark = [&] {
    marks[marked] = create_cuda_event(cudaEventDefault);
    FP8CAL_CUDA(cudaEventRecord(marks[marked++].get(), context.stream));
  };
  mark();
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < order.count; ++i) {
      trial.run(algorithms.all[order.all[i]]);
      mark();
    }
  }
  FP8CAL_CUDA(cudaEventSynchronize(marks[marked - 1].get()));
  OfEach<float> least;
  least.fill(std::numeric_limits<float>::infinity());
  for (std::size_t m = 0; m + 1 < marked; ++m) {
    float milliseconds = 0.0f;
    FP8CAL_CUDA(cudaEventElapsedTime(&milliseconds, marks[m].get(), marks[m + 1].get()));
    float& best = least[order.all[m % order.count]];
    best = std::min(best, milliseconds);
  }
  return least;
}

/// The algorithms with the bits of the first one in the first rows, by their time for those.
Order by_time(const ProductContext& context, const ProductKey& key, const ProductOperands& operands,
              const ProductAlgorithms& algorithms) {
  const ProductKey part_key = first_rows(key);
  ProductDescription part(part_key, operands);
  Trial trial(context, part_key, operands, part);
  Order able;
  for (std::size_t i = 0; i < algorithms.count; ++i) {
    if (!part.takes(context, algorithms.all[i])) continue;
    trial.run_for_checksum(algorithms.all[i], i);
    able.add(i);
  }
  Order equal;
  if (able.count == 0 || able.all[0] != 0) return equal;  // nothing to compare with
  const OfEach<float> milliseconds = measure(context, trial, algorithms, able);
  const OfEach<std::uint64_t> sums = trial.checksums();
  for (std::size_t i = 0; i < able.count; ++i) {
    if (sums[able.all[i]] == sums[0]) equal.add(able.all[i]);
  }
  std::stable_sort(equal.all.begin(), equal.all.begin() + equal.count,
                   [&](std::size_t a, std::size_t b) { return milliseconds[a] < milliseconds[b]; });
  return equal;
}

}  // namespace

std::size_t find_fastest(const ProductContext& context, const ProductKey& key,
                         const ProductOperands& operands, ProductDescription& whole,
                         const ProductAlgorithms& algorithms) {
  const Order order = by_time(context, key, operands, algorithms);
  Trial trial(context, key, operands, whole);
  if (order.count > 0 && order.all[0] != 0) trial.run_for_checksum(algorithms.all[0], 0);
  for (std::size_t i = 0; i < order.count && order.all[i] != 0; ++i) {
    const std::size_t index = order.all[i];
    trial.run_for_checksum(algorithms.all[index], index);
    const OfEach<std::uint64_t> sums = trial.checksums();
    if (sums[index] == sums[0]) return index;
  }
  trial.run(algorithms.all[0]);
  return 0;
}

}  // namespace fp8cal
