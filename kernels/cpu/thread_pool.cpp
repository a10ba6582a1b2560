#include "kernels/cpu/thread_pool.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace fp8cal {
namespace {

/// Nanoseconds of work below which waking a thread costs more than it saves.
constexpr std::size_t kMinimumWork = 50000;

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) {
    throw std::invalid_argument("threads: expected at least 1, found " + std::to_string(threads));
  }
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {
    stop_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop_workers(); }

void ThreadPool::stop_workers() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  started_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    started_.wait(lock, [this] { return stopping_ || next_ < count_; });
    if (stopping_) return;
    run_indices(lock);
  }
}

/// Takes indices until none is left. Tasks last tens of microseconds and more, so one lock an index
/// costs nothing.
void ThreadPool::run_indices(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    const std::size_t index = next_++;
    const auto& body = *body_;
    ++running_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      body(index);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    --running_;
    if (failure) {
      if (!failure_) failure_ = failure;
      next_ = count_;
    }
    if (running_ == 0 && next_ == count_) finished_.notify_one();
  }
}

void ThreadPool::parallel_for(std::size_t count, std::size_t work_per_item,
                              const std::function<void(std::size_t)>& body) {
  if (workers_.empty() || count <= 1 || count * work_per_item < kMinimumWork) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::unique_lock lock(mutex_);
  body_ = &body;
  next_ = 0;
  count_ = count;
  const std::size_t helpers = std::min(count - 1, workers_.size());
  for (std::size_t i = 0; i < helpers; ++i) started_.notify_one();
  run_indices(lock);
  finished_.wait(lock, [this] { return running_ == 0; });
  body_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::parallel_ranges(std::size_t count, std::size_t work_per_item,
                                 const std::function<void(std::size_t, std::size_t)>& body) {
  if (count == 0) return;
  const std::size_t worthwhile = std::max<std::size_t>(1, count * work_per_item / kMinimumWork);
  const std::size_t ranges = std::min({count, threads(), worthwhile});
  parallel_for(ranges, kMinimumWork,
               [&](std::size_t i) { body(count * i / ranges, count * (i + 1) / ranges); });
}

}  // namespace fp8cal
