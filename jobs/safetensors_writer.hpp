#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "jobs/atomic_file.hpp"

namespace fp8cal {

/// A tensor of a file that is going to be written.
struct TensorLayout {
  std::string name;
  std::string dtype;  ///< as the format spells it: "BF16", "F8_E4M3", "F32"
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
};

/// Everything before the data of a safetensors file that holds `tensors` one after the other: the
/// 8-byte header length, and the JSON header padded with spaces so that the data begins at a
/// multiple of 8 (format: github.com/huggingface/safetensors).
std::string safetensors_prefix(const std::vector<TensorLayout>& tensors);

/// A safetensors file whose tensors are written piece by piece, in any order. It takes its name
/// when it is committed; until then it is `path`.partial, and is removed with this object.
class SafetensorsWriter {
 public:
  /// Writes everything before the data. Throws Error naming the path.
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<TensorLayout>& tensors);

  /// Writes `bytes` at byte `offset` of a tensor. Threads may write different places at once.
  /// Throws std::out_of_range where the file has no such tensor or that one no such place.
  void write(const std::string& tensor, std::uint64_t offset, std::span<const std::byte> bytes);

  /// All is written: flushes it to disk and closes it, so that little is left for `commit` to do.
  void finish() { file_.finish(); }
  void commit() { file_.commit(); }

 private:
  struct Place {
    std::uint64_t begin;  // in the file
    std::uint64_t bytes;
  };

  PartialFile file_;
  std::map<std::string, Place> places_;
};

}  // namespace fp8cal
