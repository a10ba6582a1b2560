#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <vector>

#include "kernels/cpu/thread_pool.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kWorthwhile = 1000000;  // nanoseconds

TEST(ThreadPool, CallsEachIndexOnce) {
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), static_cast<std::size_t>(threads));
    for (const std::size_t count : {0, 1, 2, 5, 1000}) {
      std::vector<std::atomic<int>> calls(count);
      pool.parallel_for(count, kWorthwhile, [&](std::size_t i) { ++calls[i]; });
      for (const auto& n : calls) EXPECT_EQ(n, 1);
    }
  }
}

TEST(ThreadPool, RangesCoverEverythingInOrder) {
  ThreadPool pool(3);
  for (const std::size_t count : {0, 1, 2, 3, 100}) {
    std::vector<std::atomic<int>> calls(count);
    std::atomic<int> ranges = 0;
    pool.parallel_ranges(count, kWorthwhile, [&](std::size_t first, std::size_t last) {
      EXPECT_LT(first, last);
      ++ranges;
      for (std::size_t i = first; i < last; ++i) ++calls[i];
    });
    for (const auto& n : calls) EXPECT_EQ(n, 1);
    EXPECT_LE(ranges, 3);
  }
}

TEST(ThreadPool, OneThreadOrLittleWorkRunsOnTheCaller) {
  const std::thread::id caller = std::this_thread::get_id();
  const auto expect_inline = [&](std::size_t) { EXPECT_EQ(std::this_thread::get_id(), caller); };
  ThreadPool(1).parallel_for(100, kWorthwhile, expect_inline);
  ThreadPool(4).parallel_for(100, 1, expect_inline);
  int ranges = 0;
  ThreadPool(4).parallel_ranges(100, 1, [&](std::size_t, std::size_t) { ++ranges; });
  EXPECT_EQ(ranges, 1);
}

TEST(ThreadPool, UsesItsThreads) {
  ThreadPool pool(2);
  std::atomic<int> waiting = 0;
  // Returns only when two threads are in the loop at once.
  pool.parallel_for(2, kWorthwhile, [&](std::size_t) {
    ++waiting;
    while (waiting < 2) std::this_thread::yield();
  });
  EXPECT_EQ(waiting, 2);
}

TEST(ThreadPool, PassesExceptionsOnAndWorksAfterwards) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      EXPECT_THROW(pool.parallel_for(20, kWorthwhile,
                                     [](std::size_t i) {
                                       if (i % 7 == 3) throw std::runtime_error("seven");
                                     }),
                   std::runtime_error);
      std::atomic<int> calls = 0;
      pool.parallel_for(20, kWorthwhile, [&](std::size_t) { ++calls; });
      EXPECT_EQ(calls, 20);
    }
  }
}

TEST(ThreadPool, ManyShortLoops) {
  ThreadPool pool(4);
  std::atomic<std::size_t> sum = 0;
  for (int repeat = 0; repeat < 2000; ++repeat) {
    pool.parallel_for(5, kWorthwhile, [&](std::size_t i) { sum += i; });
  }
  EXPECT_EQ(sum, 20000u);
}

TEST(ThreadPool, RejectsNoThreads) {
  EXPECT_THROW(ThreadPool(0), std::invalid_argument);
  EXPECT_THROW(ThreadPool(-1), std::invalid_argument);
}

}  // namespace
}  // namespace fp8cal
