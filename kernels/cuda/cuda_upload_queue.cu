#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/cuda/cuda_handles.hpp"
#include "kernels/cuda/cuda_upload_queue.hpp"

namespace fp8cal {
namespace {

struct FreePageLocked {
  void operator()(std::byte* memory) const noexcept { static_cast<void>(cudaFreeHost(memory)); }
};
using PageLocked = std::unique_ptr<std::byte, FreePageLocked>;

PageLocked lock_pages(std::size_t bytes) {
  void* memory = nullptr;
  FP8CAL_CUDA(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault));
  return PageLocked(static_cast<std::byte*>(memory));
}

/// Which device is current is a matter of each thread, so every call says it.
class CudaUploadQueue final : public UploadQueue {
 public:
  CudaUploadQueue(int device, std::size_t slots, std::size_t slot_bytes)
      : device_(select(device)), slot_bytes_(slot_bytes), memory_(lock_pages(slots * slot_bytes)) {
    // Who waits sleeps: the cores have other blocks to read.
    constexpr unsigned kFlags = cudaEventDisableTiming | cudaEventBlockingSync;
    for (std::size_t i = 0; i < slots; ++i) copied_.push_back(create_cuda_event(kFlags));
    stream_ = create_cuda_stream();
  }

  std::byte* slot(std::size_t index) override { return memory_.get() + index * slot_bytes_; }

  void upload(std::size_t index, void* device, std::size_t bytes) override {
    if (bytes == 0) return;
    select(device_);
    FP8CAL_CUDA(cudaMemcpyAsync(device, slot(index), bytes, cudaMemcpyHostToDevice, stream_.get()));
    FP8CAL_CUDA(cudaEventRecord(copied_[index].get(), stream_.get()));
  }

  void wait(std::size_t index) override {
    select(device_);
    FP8CAL_CUDA(cudaEventSynchronize(copied_[index].get()));  // at once where never recorded
  }

  void wait_all() override {
    select(device_);
    FP8CAL_CUDA(cudaStreamSynchronize(stream_.get()));
  }

 private:
  static int select(int device) {
    FP8CAL_CUDA(cudaSetDevice(device));
    return device;
  }

  int device_;
  std::size_t slot_bytes_;
  PageLocked memory_;
  std::vector<CudaEvent> copied_;  // of each slot's last copy
  CudaStream stream_;              // last: its end waits for copies out of the memory
};

}  // namespace

std::unique_ptr<UploadQueue> make_cuda_upload_queue(int device, std::size_t slots,
                                                    std::size_t slot_bytes) {
  return std::make_unique<CudaUploadQueue>(device, slots, slot_bytes);
}

}  // namespace fp8cal
