#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>

#include "kernels/cuda/checksum.cuh"
#include "kernels/cuda/cublaslt_check.hpp"
#include "kernels/cuda/cuda_stream.hpp"
#include "kernels/cuda/product_search.hpp"
#include "product_test.hpp"

namespace fp8cal {
namespace {

constexpr int kSearchedRun = 32;  // as ProductPlan has it

struct Kind {
  const char* name;
  bool fp8;
  bool vectors;
};
constexpr Kind kBf16 = {"bf16", false, false};
constexpr Kind kScalars = {"fp8, scalar scales", true, false};
constexpr Kind kVectors = {"fp8, vector scales", true, true};

/// One product's operands on the host.
struct HostOperands {
  HostOperands(Backend& cpu, const Size& size, const Kind& kind, std::size_t gap)
      : kind(kind),
        x(make(cpu, size.rows, size.depth, 3, gap)),
        weight(make(cpu, size.columns, size.depth, 4, gap)),
        x_scales(spread_scales(kind.vectors ? size.rows : 1, 0.013f)),
        weight_scales(spread_scales(kind.vectors ? size.columns : 1, 0.0077f)),
        unwritten(DType::bf16, size.rows, size.columns, gap) {}

  TestMatrix make(Backend& cpu, std::size_t rows, std::size_t cols, unsigned seed,
                  std::size_t gap) const {
    return kind.fp8 ? tiled_fp8(cpu, DType::e4m3, rows, cols, seed, gap)
                    : tiled_bf16(rows, cols, seed, gap);
  }

  Kind kind;
  TestMatrix x, weight;
  std::vector<float> x_scales, weight_scales;
  TestMatrix unwritten;
};

/// The same on a device.
struct DeviceOperands {
  DeviceOperands(Backend& backend, const HostOperands& host)
      : kind(host.kind),
        x(backend, host.x),
        weight(backend, host.weight),
        x_scales(backend, host.x_scales),
        weight_scales(backend, host.weight_scales) {}

  void multiply(Backend& backend, Matrix out) const {
    if (kind.fp8) {
      backend.multiply_scaled(x, x_scales, weight, weight_scales, out);
    } else {
      backend.multiply(x, weight, out);
    }
  }

  Kind kind;
  DeviceCopy x, weight;
  ScalesOnDevice x_scales, weight_scales;
};

class CudaProductSearch : public testing::Test {
 protected:
  void SetUp() override {
    FP8CAL_GPU_OR_SKIP();
    cuda_ = make_backend({"cuda", 1});
    cpu_ = make_backend({"cpu", static_cast<int>(std::thread::hardware_concurrency())});
  }

  /// The result of the last of so many runs, into fresh memory.
  TestMatrix result_after(int runs, const DeviceOperands& operands, const TestMatrix& unwritten) {
    const DeviceCopy out(*cuda_, unwritten);
    for (int i = 0; i < runs; ++i) operands.multiply(*cuda_, out);
    return out.values();
  }

  void expect_the_bits_of_the_first_run(const Size& size, const Kind& kind, std::size_t gap) {
    const HostOperands host(*cpu_, size, kind, gap);
    const DeviceOperands on_device(*cuda_, host);
    const std::string what = std::string(kind.name) + ", " + size.to_string() +
                             (gap == 0 ? "" : ", gaps of " + std::to_string(gap));
    const TestMatrix first = result_after(1, on_device, host.unwritten);
    TestMatrix expected = host.unwritten;
    DeviceOperands(*cpu_, host).multiply(*cpu_, expected);
    expect_close(first, expected, what);

    EXPECT_TRUE(result_after(kSearchedRun - 2, on_device, host.unwritten) == first) << what;
    EXPECT_TRUE(result_after(1, on_device, host.unwritten) == first) << what << ", the search";
    EXPECT_TRUE(result_after(1, on_device, host.unwritten) == first) << what << ", after it";
    EXPECT_TRUE(result_after(7, on_device, host.unwritten) == first) << what << ", 40 runs";
  }

  std::unique_ptr<Backend> cuda_, cpu_;
};

TEST_F(CudaProductSearch, KeepsTheBits) {
  for (const std::size_t rows : {2048, 5000, 9000}) {
    for (const Kind& kind : {kBf16, kScalars, kVectors}) {
      for (const std::size_t gap : {0, 16}) {
        expect_the_bits_of_the_first_run({rows, 1024, 1040}, kind, gap);
      }
    }
  }
}

TEST_F(CudaProductSearch, KeepsTheBitsOfOddShapes) {
  expect_the_bits_of_the_first_run({2049, 515, 777}, kBf16, 0);
  expect_the_bits_of_the_first_run({8193, 513, 300}, kBf16, 3);
  expect_the_bits_of_the_first_run({8193, 528, 304}, kVectors, 0);
}

TEST_F(CudaProductSearch, KeepsTheBitsOfDequantizedProducts) {
  cuda_ = make_cuda_backend(0, Fp8Products::dequantized);
  expect_the_bits_of_the_first_run({5000, 1024, 1040}, kVectors, 0);
}

/// cuBLASLt by hand.
class CublasLt {
 public:
  explicit CublasLt(Backend& cuda)
      : workspace_(cuda.allocate(std::size_t{32} << 20)),
        checksums_(cuda.allocate(ProductAlgorithms::kRoom * sizeof(std::uint64_t))),
        stream_(cuda_stream(cuda)) {
    FP8CAL_CUBLASLT(cublasLtCreate(&handle_));
  }
  ~CublasLt() { static_cast<void>(cublasLtDestroy(handle_)); }
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  ProductContext context() const {
    return {handle_, workspace_.data(), workspace_.bytes(), checksums_.as<std::uint64_t>(),
            stream_};
  }

 private:
  cublasLtHandle_t handle_ = nullptr;
  Buffer workspace_, checksums_;
  cudaStream_t stream_;
};

/// An algorithm that cuts its sums along k, made from one that does not.
std::optional<cublasLtMatmulAlgo_t> cut_sums(const ProductContext& context,
                                             const ProductDescription& product,
                                             const ProductAlgorithms& algorithms) {
  for (std::size_t i = 0; i < algorithms.count; ++i) {
    for (const std::int32_t pieces : {8, 4, 2}) {
      for (const std::uint32_t reduction :
           {CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, CUBLASLT_REDUCTION_SCHEME_INPLACE,
            CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE}) {
        cublasLtMatmulAlgo_t cut = algorithms.all[i];
        FP8CAL_CUBLASLT(cublasLtMatmulAlgoConfigSetAttribute(&cut, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                                             &pieces, sizeof pieces));
        FP8CAL_CUBLASLT(cublasLtMatmulAlgoConfigSetAttribute(
            &cut, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction, sizeof reduction));
        if (!product.takes(context, cut)) continue;
        std::printf("  algorithm %zu of %zu cut into %d pieces, reduction %u\n", i,
                    algorithms.count, pieces, reduction);
        return cut;
      }
    }
  }
  return std::nullopt;
}

/// So few tiles of output and so long sums that cutting these is much faster.
TEST_F(CudaProductSearch, DropsAFasterAlgorithmOfOtherBits) {
  const Size size = {2048, 64, 14336};
  const HostOperands host(*cpu_, size, kBf16, 0);
  const DeviceOperands on_device(*cuda_, host);
  const DeviceCopy out(*cuda_, TestMatrix(DType::f32, size.rows, size.columns));
  const CublasLt cublaslt(*cuda_);
  const ProductContext context = cublaslt.context();
  const ProductKey key = ProductKey::of(on_device.x, on_device.weight, out.view(), ScaleMode::none);
  const ProductOperands operands{on_device.x.view().data, on_device.weight.view().data,
                                 out.view().data, nullptr, nullptr};
  ProductDescription product(key, operands);
  const ProductAlgorithms whole = product.algorithms(context, key);
  const std::optional<cublasLtMatmulAlgo_t> cut = cut_sums(context, product, whole);
  ASSERT_TRUE(cut.has_value()) << "none of " << whole.count << " algorithms can cut its sums";
  ProductAlgorithms algorithms;
  algorithms.add(whole.all[0]);
  algorithms.add(*cut);

  const auto seconds_by = [&](const cublasLtMatmulAlgo_t& algorithm) {
    return seconds_of(*cuda_, 20, [&] { product.run(context, operands, algorithm); });
  };
  const double seconds_whole = seconds_by(algorithms.all[0]);
  const TestMatrix expected = out.values();
  const double seconds_cut = seconds_by(algorithms.all[1]);
  std::printf("  %s: whole sums %.1f us, cut ones %.1f us\n", size.to_string().c_str(),
              seconds_whole * 1e6, seconds_cut * 1e6);
  ASSERT_LT(seconds_cut, seconds_whole);
  ASSERT_FALSE(out.values() == expected) << "cut sums have the same bits";

  EXPECT_EQ(find_fastest(context, key, operands, product, algorithms), 0u);
  EXPECT_TRUE(out.values() == expected);
}

TEST_F(CudaProductSearch, FindsOneOfManyAndComputesTheProduct) {
  const Size size = {10000, 4096, 1024};
  const HostOperands host(*cpu_, size, kBf16, 8);
  const DeviceOperands on_device(*cuda_, host);
  const DeviceCopy out(*cuda_, host.unwritten), again(*cuda_, host.unwritten);
  const CublasLt cublaslt(*cuda_);
  const ProductContext context = cublaslt.context();
  const ProductKey key = ProductKey::of(on_device.x, on_device.weight, out.view(), ScaleMode::none);
  ProductOperands operands{on_device.x.view().data, on_device.weight.view().data, out.view().data,
                           nullptr, nullptr};
  ProductDescription product(key, operands);
  const ProductAlgorithms algorithms = product.algorithms(context, key);
  ASSERT_GT(algorithms.count, 1u);
  const std::size_t found = find_fastest(context, key, operands, product, algorithms);
  std::printf("  %s: %zu of %zu algorithms\n", size.to_string().c_str(), found, algorithms.count);
  ASSERT_LT(found, algorithms.count);
  operands.out = again.view().data;
  product.run(context, operands, algorithms.all[0]);
  EXPECT_TRUE(out.values() == again.values());
}

template <class Call>
double seconds_of_runs(Backend& backend, int runs, const Call& call) {
  backend.synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < runs; ++i) call(backend);
  backend.synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The clock falls under load within a second or so.
template <class Call>
void keep_busy(Backend& backend, double seconds, const Call& call) {
  for (double spent = 0.0; spent < seconds;) spent += seconds_of_runs(backend, 10, call);
}

struct Searched {
  double before = 0.0, search = 0.0, after = 0.0;  ///< seconds of a run, with and after the search
};

/// Backends that have not searched yet, beside one that keeps the GPU warm.
template <class Call>
Searched time_searches(const Call& call) {
  constexpr int kTimed = kSearchedRun - 2;  // not the first one, which asks the heuristics
  std::vector<std::unique_ptr<Backend>> fresh;
  for (int round = 0; round < 3; ++round) fresh.push_back(make_backend({"cuda", 1}));
  const std::unique_ptr<Backend> heater = make_backend({"cuda", 1});
  keep_busy(*heater, 2.0, call);
  Searched mean;
  const double share = 1.0 / static_cast<double>(fresh.size());
  for (const auto& backend : fresh) {
    seconds_of_runs(*backend, 1, call);
    keep_busy(*heater, 0.3, call);
    mean.before += share / kTimed * seconds_of_runs(*backend, kTimed, call);
    mean.search += share * seconds_of_runs(*backend, 1, call);
    keep_busy(*heater, 0.3, call);
    mean.after += share / kTimed * seconds_of_runs(*backend, kTimed, call);
  }
  return mean;
}

template <class Call>
void report_search(Backend& cuda, const Size& size, const char* kind, Matrix out,
                   const Call& call) {
  const Buffer sum = cuda.allocate(sizeof(std::uint64_t));
  const auto checksum = [&] {
    std::uint64_t value = 0;
    cuda_checksum(cuda_stream(cuda), out, sum.as<std::uint64_t>());
    cuda.download(&value, sum.data(), sizeof value);
    return value;
  };
  call(cuda);
  const std::uint64_t expected = checksum();
  const Searched seconds = time_searches(call);
  EXPECT_EQ(checksum(), expected) << kind << ", " << size.to_string();
  const double work = 2e-12 * static_cast<double>(size.rows) * static_cast<double>(size.columns) *
                      static_cast<double>(size.depth);
  std::printf(
      "  %-20s %-20s before %6.1f TFLOP/s, after %6.1f (%+.1f %%), the search %.1f ms, %.0f runs\n",
      size.to_string().c_str(), kind, work / seconds.before, work / seconds.after,
      100.0 * (seconds.before / seconds.after - 1.0), seconds.search * 1e3,
      seconds.search / seconds.before);
  EXPECT_LT(seconds.after, 1.03 * seconds.before) << kind << ", " << size.to_string();
}

TEST_F(CudaProductSearch, Speed) {
  for (const auto& [columns, depth] : kLayers8B) {
    const Size size = {16384, columns, depth};
    const SpeedCase on(*cuda_, size);
    report_search(*cuda_, size, "bf16", on.out,
                  [&](Backend& cuda) { cuda.multiply(on.x, on.weight, on.out); });
    report_search(*cuda_, size, "fp8, scalar scales", on.out, [&](Backend& cuda) {
      cuda.multiply_scaled(on.x8, on.one, on.weight8, on.one, on.out);
    });
    report_search(*cuda_, size, "fp8, vector scales", on.out, [&](Backend& cuda) {
      cuda.multiply_scaled(on.x8, on.x_scales, on.weight8, on.weight_scales, on.out);
    });
  }
}

}  // namespace
}  // namespace fp8cal
