#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/upload_queue.hpp"

namespace fp8cal {

/// The slots of an upload queue, leased in turns: first the one whose copy began longest ago. Any
/// thread may lease one; never more at a time than there are.
class StagingSlots {
 public:
  /// slots: of the queue.
  StagingSlots(std::unique_ptr<UploadQueue> queue, std::size_t slots);

  /// One slot, given back at the lease's end, whether or not a copy from it has begun.
  class Lease {
   public:
    explicit Lease(StagingSlots& slots) : slots_(slots), index_(slots.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { slots_.give_back(index_); }

    /// The slot's memory, once the last copy from it is done.
    std::byte* writable() const;
    /// Begins to copy its first `bytes` to `device`.
    void upload(void* device, std::size_t bytes) const;

   private:
    StagingSlots& slots_;
    std::size_t index_;
  };

  /// Returns when every copy begun before this call is done.
  void wait_all() { queue_->wait_all(); }

 private:
  std::size_t take();
  void give_back(std::size_t index);

  std::unique_ptr<UploadQueue> queue_;
  std::mutex mutex_;
  std::vector<std::size_t> turns_;  // a ring: free slots from taken_ to given_
  std::size_t taken_ = 0;
  std::size_t given_ = 0;
};

}  // namespace fp8cal
