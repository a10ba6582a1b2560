#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace fp8cal {

/// A regular file opened for reading. Owns its descriptor; reads keep no position, so one File may
/// serve many threads.
class File {
 public:
  /// Throws Error with exit code 2 where `path` cannot be opened or is no regular file.
  static File open(const std::filesystem::path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  /// The path it was opened by, for messages.
  const std::string& name() const { return name_; }
  /// Bytes, as of now.
  std::uint64_t size() const;
  /// Fills `out` from byte `offset` on. Returns the bytes read: fewer than asked for only where the
  /// file ends. Throws Error where the read fails.
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  File(std::string name, int descriptor) : name_(std::move(name)), descriptor_(descriptor) {}

  std::string name_;
  int descriptor_ = -1;
};

/// The bytes of a whole file. Throws as File::open does, and InputError beyond `max_bytes`.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes);

}  // namespace fp8cal
