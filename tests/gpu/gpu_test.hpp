#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "tests/unit/cpu_test_support.hpp"

namespace fp8cal {

inline bool gpu_is_required() {
  const char* value = std::getenv("FP8CAL_REQUIRE_GPU");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

}  // namespace fp8cal

/// In SetUp or a test's body: goes on where there is a GPU. Else the test is skipped, or fails
/// where FP8CAL_REQUIRE_GPU=1.
#define FP8CAL_GPU_OR_SKIP()                                                    \
  do {                                                                          \
    if (::fp8cal::cuda_device_count() == 0) {                                   \
      if (::fp8cal::gpu_is_required()) FAIL() << "no GPU, and one is required"; \
      GTEST_SKIP() << "no GPU";                                                 \
    }                                                                           \
  } while (false)

namespace fp8cal {

/// Values in the memory of a backend.
template <class T>
class DeviceArray {
 public:
  DeviceArray(Backend& backend, const std::vector<T>& values)
      : backend_(backend),
        count_(values.size()),
        buffer_(backend.allocate(values.size() * sizeof(T))) {
    backend.upload(buffer_.data(), values.data(), count_ * sizeof(T));
    backend.synchronize();
  }
  T* data() const { return buffer_.template as<T>(); }
  std::vector<T> values() const {
    std::vector<T> values(count_);
    backend_.download(values.data(), buffer_.data(), count_ * sizeof(T));
    return values;
  }

 private:
  Backend& backend_;
  std::size_t count_;
  Buffer buffer_;
};

/// A copy of a TestMatrix, gaps included, in the memory of a backend.
class DeviceCopy {
 public:
  DeviceCopy(Backend& backend, const TestMatrix& host)
      : backend_(backend), host_(host), buffer_(backend.allocate(bytes())) {
    backend.upload(buffer_.data(), host_.view().data, bytes());
    backend.synchronize();
  }
  Matrix view() const {
    Matrix view = host_.view();
    view.data = buffer_.data();
    return view;
  }
  operator Matrix() const { return view(); }
  operator ConstMatrix() const { return view(); }
  /// `into` has the shape and gaps of what was copied.
  void download(TestMatrix& into) const {
    backend_.download(into.view().data, buffer_.data(), bytes());
  }
  TestMatrix values() const {
    TestMatrix values = host_;
    download(values);
    return values;
  }

 private:
  std::size_t bytes() const {
    const Matrix& view = host_.view();
    return (view.rows * view.stride + 1) * size_of(view.dtype);
  }

  Backend& backend_;
  TestMatrix host_;
  Buffer buffer_;
};

/// The same call on the GPU and on the reference.
class BothBackends : public testing::Test {
 protected:
  void SetUp() override {
    FP8CAL_GPU_OR_SKIP();
    cuda_ = make_backend({"cuda", 1});
    cpu_ = make_backend({"cpu", 8});
  }

  std::unique_ptr<Backend> cuda_, cpu_;
};

/// A size that tests use: odd, aligned and misaligned, small and large, with gaps between rows.
struct TestSize {
  std::size_t rows, cols, gap;

  std::string to_string() const {
    return std::to_string(rows) + " x " + std::to_string(cols) + " + " + std::to_string(gap);
  }
};

inline constexpr TestSize kTestSizes[] = {
    {0, 8, 0},     {3, 0, 0},      {1, 1, 0},    {1, 8, 0},     {7, 17, 3},
    {5, 4096, 0},  {5, 4096, 8},   {5, 4096, 1}, {301, 520, 0}, {33, 14336, 16},
    {2, 32064, 0}, {70001, 16, 0}, {129, 33, 7}, {64, 1030, 2}, {3, 10007, 1}};

/// Seconds of one of `repetitions` calls in a row, after one to warm up.
template <class Call>
double seconds_of(Backend& backend, int repetitions, const Call& call) {
  call();
  backend.synchronize();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repetitions; ++i) call();
  backend.synchronize();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return taken.count() / repetitions;
}

}  // namespace fp8cal
