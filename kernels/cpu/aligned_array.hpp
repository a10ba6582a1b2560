#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace fp8cal {

/// A cache line, and the widest vector register.
inline constexpr std::size_t kAlignment = 64;

/// Uninitialised memory at a multiple of kAlignment, for scratch of arithmetic types. Move-only.
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  AlignedArray(const AlignedArray&) = delete;
  AlignedArray& operator=(const AlignedArray&) = delete;
  ~AlignedArray() { free_memory(); }

  /// At least `count` elements, whose values are unspecified. Never shrinks, so that scratch kept
  /// in a thread is allocated once.
  T* at_least(std::size_t count) {
    if (count > count_) {
      free_memory();
      data_ = static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{kAlignment}));
      count_ = count;
    }
    return data_;
  }

 private:
  void free_memory() noexcept {
    ::operator delete (std::exchange(data_, nullptr), std::align_val_t{kAlignment});
    count_ = 0;
  }

  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace fp8cal
