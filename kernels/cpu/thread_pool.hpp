#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fp8cal {

/// A fixed set of threads that share out the indices of a loop. Waiting threads sleep: there may be
/// more ranks than cores. One caller at a time, and no loop inside a loop.
class ThreadPool {
 public:
  /// `threads` counts the calling thread, so 1 creates none. Throws std::invalid_argument below 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t threads() const { return workers_.size() + 1; }

  /// Calls body(i) once for each i below `count`, in any order, and returns when all are done. The
  /// first exception is rethrown here; indices not yet started are then left out.
  /// `work_per_item` is about the nanoseconds that one index takes: a loop that is not worth waking
  /// a thread for runs on the calling one.
  void parallel_for(std::size_t count, std::size_t work_per_item,
                    const std::function<void(std::size_t)>& body);

  /// Calls body(first, last) for contiguous ranges that cover [0, count), at most as many as
  /// threads.
  void parallel_ranges(std::size_t count, std::size_t work_per_item,
                       const std::function<void(std::size_t, std::size_t)>& body);

 private:
  void work();
  void run_indices(std::unique_lock<std::mutex>& lock);
  void stop_workers() noexcept;

  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  const std::function<void(std::size_t)>* body_ = nullptr;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::size_t running_ = 0;  // indices started and not yet done
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace fp8cal
