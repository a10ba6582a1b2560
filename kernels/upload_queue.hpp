#pragma once

#include <cstddef>

namespace fp8cal {

/// Copies bytes to device memory beside whatever its backend computes. They pass through slots of
/// host memory, page-locked where that makes copies fast. Any thread may call, whatever another one
/// does with the backend, but a slot is for one thread at a time.
///
/// Copies are in order among themselves and not with the backend's work. So a target must be
/// allocated, and no longer in use, when `Backend::synchronize` last returned; and its copy waited
/// for before the backend uses or frees it.
class UploadQueue {
 public:
  /// Waits for all copies.
  virtual ~UploadQueue() = default;

  /// The host memory [slot_bytes] of slot `index`, page-aligned. Not to be written before the last
  /// copy from it is done.
  virtual std::byte* slot(std::size_t index) = 0;

  /// Begins to copy the first `bytes` of slot `index` to `device`.
  virtual void upload(std::size_t index, void* device, std::size_t bytes) = 0;

  /// Returns when the last copy from slot `index` is done.
  virtual void wait(std::size_t index) = 0;

  /// Returns when every copy begun before this call is done.
  virtual void wait_all() = 0;
};

}  // namespace fp8cal
