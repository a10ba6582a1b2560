#include <gtest/gtest.h>

#include <thread>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// Bytes that differ from one seed to the next.
Bytes pattern(std::size_t bytes, unsigned seed) {
  Bytes values(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    values[i] = static_cast<std::uint8_t>((i * 2654435761u + seed * 40503u) >> 7);
  }
  return values;
}

class CudaUpload : public BothBackends {
 protected:
  Bytes downloaded(const Buffer& buffer) {
    Bytes values(buffer.bytes());
    cuda_->download(values.data(), buffer.data(), buffer.bytes());
    return values;
  }

  /// Sends `bytes` to `target` by way of `slots` slots in turn.
  static void send(UploadQueue& queue, std::size_t slots, std::size_t slot_bytes,
                   const Bytes& bytes, std::byte* target) {
    std::size_t slot = 0;
    for (std::size_t at = 0; at < bytes.size(); at += slot_bytes, slot = (slot + 1) % slots) {
      const std::size_t count = std::min(slot_bytes, bytes.size() - at);
      queue.wait(slot);
      std::memcpy(queue.slot(slot), bytes.data() + at, count);
      queue.upload(slot, target + at, count);
    }
  }
};

TEST_F(CudaUpload, BytesArriveInAnySize) {
  constexpr std::size_t kSlots = 3, kSlotBytes = 4099;
  const auto queue = cuda_->make_upload_queue(kSlots, kSlotBytes);
  queue->wait(0);  // nothing was sent
  queue->wait_all();
  for (const std::size_t bytes : {0, 1, 17, 4099, 4100, 1000003}) {
    const Bytes sent = pattern(bytes, static_cast<unsigned>(bytes));
    const Buffer target = cuda_->allocate(bytes);
    cuda_->synchronize();
    send(*queue, kSlots, kSlotBytes, sent, target.as<std::byte>());
    queue->wait_all();
    EXPECT_EQ(downloaded(target), sent) << bytes;
  }
}

TEST_F(CudaUpload, ASlotIsFreeOnceItsCopyIsDone) {
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  const auto queue = cuda_->make_upload_queue(1, kBytes);
  const Buffer first = cuda_->allocate(kBytes), second = cuda_->allocate(kBytes);
  cuda_->synchronize();
  std::memset(queue->slot(0), 1, kBytes);
  queue->upload(0, first.data(), kBytes);
  queue->wait(0);
  std::memset(queue->slot(0), 2, kBytes);
  queue->upload(0, second.data(), kBytes);
  queue->wait(0);
  EXPECT_EQ(downloaded(first), Bytes(kBytes, 1));
  EXPECT_EQ(downloaded(second), Bytes(kBytes, 2));
}

TEST_F(CudaUpload, EndsAfterItsCopies) {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const Buffer target = cuda_->allocate(kBytes);
  cuda_->synchronize();
  auto queue = cuda_->make_upload_queue(1, kBytes);
  std::memset(queue->slot(0), 3, kBytes);
  queue->upload(0, target.data(), kBytes);
  queue.reset();
  EXPECT_EQ(downloaded(target), Bytes(kBytes, 3));
}

/// Several threads send while the backend multiplies; both results are right. Memory that was freed
/// a moment ago is used again.
TEST_F(CudaUpload, OtherThreadsSendWhileTheBackendComputes) {
  constexpr std::size_t kThreads = 4, kSlots = 2, kSlotBytes = std::size_t{1} << 20;
  constexpr std::size_t kBytes = std::size_t{100} << 20, kSize = 8192;
  const DeviceCopy x(*cuda_, random_bf16(kSize, kSize, 1)), w(*cuda_, random_bf16(kSize, kSize, 2));
  TestMatrix alone(DType::bf16, kSize, kSize), beside(DType::bf16, kSize, kSize);
  const DeviceCopy out(*cuda_, alone);
  cuda_->multiply(x, w, out);
  out.download(alone);

  std::vector<Bytes> sent;
  for (unsigned t = 0; t < kThreads; ++t) sent.push_back(pattern(kBytes, t));
  for (int round = 0; round < 3; ++round) {
    std::vector<Buffer> targets;
    for (std::size_t t = 0; t < kThreads; ++t) targets.push_back(cuda_->allocate(kBytes));
    cuda_->synchronize();
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const auto queue = cuda_->make_upload_queue(kSlots, kSlotBytes);
        send(*queue, kSlots, kSlotBytes, sent[t], targets[t].as<std::byte>());
        queue->wait_all();
      });
    }
    for (int i = 0; i < 20; ++i) cuda_->multiply(x, w, out);
    for (std::thread& thread : threads) thread.join();
    out.download(beside);
    EXPECT_TRUE(beside == alone) << round;
    for (std::size_t t = 0; t < kThreads; ++t) {
      EXPECT_TRUE(downloaded(targets[t]) == sent[t]) << round << ", thread " << t;
    }
  }
}

TEST_F(CudaUpload, Speed) {
  constexpr std::size_t kSlots = 16;
  const Buffer target = cuda_->allocate(std::size_t{1} << 30);
  for (const std::size_t slot_bytes : {1u << 19, 1u << 21, 1u << 23}) {
    auto start = std::chrono::steady_clock::now();
    const auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const auto queue = cuda_->make_upload_queue(kSlots, slot_bytes);
    const double making = seconds();
    for (std::size_t i = 0; i < kSlots; ++i) std::memset(queue->slot(i), 1, slot_bytes);
    cuda_->synchronize();
    start = std::chrono::steady_clock::now();
    std::size_t slot = 0;
    for (std::size_t at = 0; at < target.bytes(); at += slot_bytes, slot = (slot + 1) % kSlots) {
      queue->wait(slot);
      queue->upload(slot, target.as<std::byte>() + at, slot_bytes);
    }
    queue->wait_all();
    const double rate = static_cast<double>(target.bytes()) / seconds() / 1e9;
    std::printf("  %zu slots of %zu KiB: made in %.1f ms, page-locked upload %.1f GB/s\n", kSlots,
                slot_bytes >> 10, making * 1e3, rate);
    EXPECT_GT(rate, 1.0);
  }
}

}  // namespace
}  // namespace fp8cal
