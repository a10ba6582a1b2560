#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

TEST(CpuBackend, SaysWhatComputes) {
  const auto backend = make_cpu_backend(3);
  EXPECT_EQ(backend->name(), "cpu");
  const std::string instruction_set = available_vector_kernels().front()->name;
  EXPECT_THAT(backend->device(), testing::EndsWith(", " + instruction_set + ", 3 threads"));
  EXPECT_THAT(make_cpu_backend(1)->device(), testing::EndsWith(", 1 thread"));
}

TEST(CpuBackend, AllocatesWholeCacheLines) {
  const auto backend = make_cpu_backend(1);
  for (const std::size_t bytes : {0, 1, 63, 1000}) {
    const Buffer buffer = backend->allocate(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
  }
#ifndef __SANITIZE_ADDRESS__  // which ends the program instead
  EXPECT_THROW(backend->allocate(SIZE_MAX / 2), std::bad_alloc);
#endif
}

TEST(CpuBackend, KeepsToItsMemory) {
  const auto backend = make_cpu_backend(1);
  backend->limit_memory(1000);
  {
    const Buffer first = backend->allocate(600);
    try {
      backend->allocate(401);
      FAIL() << "1001 bytes allocated of 1000";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(),
                   "out of the memory that the job may use: needed 401 bytes, found 400 of 1000 "
                   "free");
    }
    const Buffer second = backend->allocate(400);
  }
  const Buffer again = backend->allocate(1000);
  EXPECT_EQ(backend->peak_memory_bytes(), 1000u);
}

TEST(CpuBackend, CopiesAndClears) {
  const auto backend = make_cpu_backend(1);
  const Buffer buffer = backend->allocate(4);
  const std::uint8_t sent[] = {1, 2, 3, 4};
  std::uint8_t received[4] = {};
  backend->upload(buffer.data(), sent, 4);
  backend->fill_zero(buffer.as<std::uint8_t>() + 1, 2);
  backend->download(received, buffer.data(), 4);
  backend->synchronize();
  EXPECT_THAT(received, testing::ElementsAre(1, 0, 0, 4));
  backend->upload(nullptr, nullptr, 0);
}

TEST(CpuBackend, NeedsAThread) { EXPECT_THROW(make_cpu_backend(0), std::invalid_argument); }

}  // namespace
}  // namespace fp8cal
