#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "gpu_test.hpp"
#include "kernels/cuda/cuda_stream.hpp"

namespace fp8cal {
namespace {

using CudaBackend = BothBackends;

TEST_F(CudaBackend, SaysWhatComputes) {
  std::printf("  %s\n", cuda_->device().c_str());
  EXPECT_EQ(cuda_->name(), "cuda");
  EXPECT_THAT(cuda_->device(),
              testing::MatchesRegex(".+, sm_[0-9]+, driver [0-9]+\\.[0-9]+, CUDA runtime "
                                    "[0-9]+\\.[0-9]+, cuBLASLt [0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(make_backend({"auto", 1})->name(), "cuda");
}

TEST_F(CudaBackend, CopiesAndClears) {
  const Buffer buffer = cuda_->allocate(4);
  EXPECT_EQ(buffer.bytes(), 4u);
  const std::uint8_t sent[] = {1, 2, 3, 4};
  std::uint8_t received[4] = {};
  cuda_->upload(buffer.data(), sent, 4);
  cuda_->fill_zero(buffer.as<std::uint8_t>() + 1, 2);
  cuda_->download(received, buffer.data(), 4);
  EXPECT_THAT(received, testing::ElementsAre(1, 0, 0, 4));
  cuda_->upload(nullptr, nullptr, 0);
  cuda_->download(nullptr, nullptr, 0);
  cuda_->fill_zero(nullptr, 0);
  EXPECT_EQ(cuda_->allocate(0).bytes(), 0u);
}

TEST_F(CudaBackend, KeepsFreedMemory) {
  const auto allocate = [&] { cuda_->allocate(std::size_t{1} << 30); };
  const double seconds = seconds_of(*cuda_, 100, allocate);
  std::printf("  allocate and free 1 GiB: %.1f us\n", seconds * 1e6);
  EXPECT_LT(seconds, 1e-3);
}

TEST_F(CudaBackend, GoesOnAfterAFailure) {
  try {
    cuda_->allocate(std::size_t{1} << 50);
    FAIL() << "2^50 bytes allocated";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("needed 1125899906842624 bytes"));
  }
  const DeviceCopy x(*cuda_, bf16_matrix({{1, 2}}));
  cuda_->add(x, x);
  EXPECT_EQ(x.values().value(0, 1), 4.0f);
}

TEST_F(CudaBackend, KeepsToItsMemory) {
  constexpr std::size_t kLimit = std::size_t{1} << 30;
  cuda_->limit_memory(kLimit);
  for (int i = 0; i < 10; ++i) cuda_->allocate(kLimit / 2);
  const Buffer first = cuda_->allocate(kLimit / 2);
  EXPECT_THROW(cuda_->allocate(kLimit / 2 + (std::size_t{64} << 20)), std::runtime_error);
  EXPECT_GT(cuda_->peak_memory_bytes(), kLimit / 2);
}

TEST_F(CudaBackend, RefusesADeviceThatIsNotThere) {
  EXPECT_THAT(shape_error([] {
                make_backend({"cuda", 1, 99});
              }),
              testing::StartsWith("cuda device 99: expected one below"));
  EXPECT_THAT(shape_error([] {
                make_backend({"cuda", 1, -1});
              }),
              testing::StartsWith("cuda device -1: expected one below"));
}

TEST_F(CudaBackend, MarksTimeOnTheDevice) {
  constexpr std::size_t kBytes = std::size_t{4} << 30;
  const Buffer buffer = cuda_->allocate(kBytes);
  cuda_->fill_zero(buffer.data(), kBytes);  // the first touch
  cuda_->synchronize();
  const auto begin = std::chrono::steady_clock::now();
  cuda_->mark(0);
  cuda_->fill_zero(buffer.data(), kBytes);
  cuda_->mark(1);
  cuda_->mark(7);  // numbers may be left out
  const double enqueued =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double filled = cuda_->seconds_between(0, 1);
  const double wall =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "  fill 4 GiB: %.3f ms on the device (%.0f GB/s), %.3f ms waited for, marked in %.3f\n",
      filled * 1e3, static_cast<double>(kBytes) / filled / 1e9, wall * 1e3, enqueued * 1e3);
  EXPECT_GT(filled, 0);
  EXPECT_LE(filled, wall);
  EXPECT_LT(enqueued, filled);  // marking does not wait
  EXPECT_LT(cuda_->seconds_between(1, 7), filled);

  cuda_->mark(0);  // a mark is moved
  cuda_->mark(1);
  EXPECT_LT(cuda_->seconds_between(0, 1), filled);
}

TEST_F(CudaBackend, HasAStream) {
  EXPECT_NE(cuda_stream(*cuda_), nullptr);
  EXPECT_EQ(shape_error([&] { cuda_stream(*cpu_); }),
            "cuda_stream: expected a cuda backend, found cpu");
}

}  // namespace
}  // namespace fp8cal
