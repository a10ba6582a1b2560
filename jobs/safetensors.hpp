#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/file.hpp"

namespace fp8cal {

/// The safetensors format: https://huggingface.co/docs/safetensors. A file is the header's length N
/// (u64, little-endian), N bytes of JSON, and the data of all tensors without gaps.

inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's
inline constexpr std::size_t kMaxTensorsInFile = std::size_t{1} << 18;
inline constexpr std::size_t kMaxDimensions = 8;

/// What a safetensors file may hold; named as in its header.
enum class FileDType : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

/// "BF16" for FileDType::bf16, and so on.
std::string_view name_of(FileDType dtype);
/// Bits of one element; 4 and 6 occur.
unsigned bits_of(FileDType dtype);

struct TensorInfo {
  std::string name;
  FileDType dtype = FileDType::bf16;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;  ///< byte range [begin, end) after the header
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in the order of their data
  std::map<std::string, std::string> metadata;
};

/// "[a, b]".
std::string shape_text(std::span<const std::uint64_t> shape);

/// The header's length from the first 8 bytes of a file of `file_bytes`. Throws InputError where it
/// exceeds kMaxHeaderBytes or the file.
std::uint64_t parse_header_length(std::span<const std::byte, 8> prefix, std::uint64_t file_bytes,
                                  const std::string& where);

/// Checks all that the reference implementation does, so that on return the tensors cover the
/// `data_bytes` after the header exactly once, and every byte length is that of its shape and
/// dtype. Moreover refuses duplicate and unknown keys and absurd counts. Throws InputError naming
/// `where` and the tensor.
SafetensorsHeader parse_safetensors_header(std::string_view header_json, std::uint64_t data_bytes,
                                           const std::string& where);

/// One safetensors file, open for reading. Safe to read from many threads.
class SafetensorsFile {
 public:
  /// Reads and checks the header. Throws Error and InputError as above.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::string& name() const { return file_.name(); }
  const SafetensorsHeader& header() const { return header_; }
  /// Fills `out` from byte `offset` of the data of `tensor`, one of this file's. Throws Error
  /// naming file, tensor and bytes where the file has become shorter than it was when opened.
  void read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;

 private:
  SafetensorsFile(File file, SafetensorsHeader header, std::uint64_t data_begin)
      : file_(std::move(file)), header_(std::move(header)), data_begin_(data_begin) {}

  File file_;
  SafetensorsHeader header_;
  std::uint64_t data_begin_;  // where the data begins in the file
};

}  // namespace fp8cal
