#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "jobs/error.hpp"

namespace fp8cal {

/// Plain values as bytes for another rank of the same program, or for a file that only this program
/// on this kind of machine reads again.
template <class T>
void pack(std::string& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
void pack(std::string& bytes, const std::vector<T>& values) {
  pack(bytes, static_cast<std::uint64_t>(values.size()));
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

inline void pack(std::string& bytes, const std::string& text) {
  pack(bytes, static_cast<std::uint64_t>(text.size()));
  bytes += text;
}

/// Takes values off again, in the order in which they were packed. Throws Error where the bytes end
/// early.
class Unpacker {
 public:
  explicit Unpacker(const std::string& bytes) : bytes_(bytes) {}

  bool done() const { return at_ == bytes_.size(); }

  template <class T>
  void take(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(&value, next(sizeof value), sizeof value);
  }

  template <class T>
  void take(std::vector<T>& values) {
    std::uint64_t count = 0;
    take(count);
    if (count > left() / sizeof(T)) refuse();
    const char* data = next(count * sizeof(T));
    values.resize(count);
    if (count != 0) std::memcpy(values.data(), data, count * sizeof(T));
  }

  void take(std::string& text) {
    std::uint64_t count = 0;
    take(count);
    text.assign(next(count), count);
  }

 private:
  const char* next(std::uint64_t count) {
    if (count > left()) refuse();
    const char* data = bytes_.data() + at_;
    at_ += count;
    return data;
  }

  std::size_t left() const { return bytes_.size() - at_; }

  [[noreturn]] static void refuse() {
    throw Error(ExitCode::failed, "a packed value ends early");
  }

  const std::string& bytes_;
  std::size_t at_ = 0;
};

}  // namespace fp8cal
