#include "worker/staging_slots.hpp"

#include <numeric>
#include <utility>

namespace fp8cal {

StagingSlots::StagingSlots(std::unique_ptr<UploadQueue> queue, std::size_t slots)
    : queue_(std::move(queue)), turns_(slots), given_(slots) {
  std::iota(turns_.begin(), turns_.end(), std::size_t{0});
}

std::size_t StagingSlots::take() {
  const std::lock_guard lock(mutex_);
  return turns_[taken_++ % turns_.size()];
}

void StagingSlots::give_back(std::size_t index) {
  const std::lock_guard lock(mutex_);
  turns_[given_++ % turns_.size()] = index;
}

std::byte* StagingSlots::Lease::writable() const {
  slots_.queue_->wait(index_);
  return slots_.queue_->slot(index_);
}

void StagingSlots::Lease::upload(void* device, std::size_t bytes) const {
  slots_.queue_->upload(index_, device, bytes);
}

}  // namespace fp8cal
