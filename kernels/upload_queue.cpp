#include "kernels/upload_queue.hpp"

#include <cstring>
#include <new>

#include "kernels/backend.hpp"

namespace fp8cal {
namespace {

constexpr std::align_val_t kPage{4096};

struct FreeSlots {
  void operator()(std::byte* slots) const noexcept { ::operator delete(slots, kPage); }
};

class HostUploadQueue final : public UploadQueue {
 public:
  HostUploadQueue(std::size_t slots, std::size_t slot_bytes)
      : slot_bytes_(slot_bytes),
        slots_(static_cast<std::byte*>(::operator new(slots* slot_bytes, kPage))) {}

  std::byte* slot(std::size_t index) override { return slots_.get() + index * slot_bytes_; }
  void upload(std::size_t index, void* device, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(device, slot(index), bytes);
  }
  void wait(std::size_t) override {}
  void wait_all() override {}

 private:
  std::size_t slot_bytes_;
  std::unique_ptr<std::byte, FreeSlots> slots_;
};

}  // namespace

std::unique_ptr<UploadQueue> Backend::make_upload_queue(std::size_t slots, std::size_t slot_bytes) {
  return std::make_unique<HostUploadQueue>(slots, slot_bytes);
}

}  // namespace fp8cal
