#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/safetensors.hpp"

namespace fp8cal {

/// A Hugging Face checkpoint's tensors, read as BF16 or, where they are quantized, as they are. Its
/// files stay open; reading is thread-safe.
class Checkpoint {
 public:
  /// Opens the shards named in `folder`/model.safetensors.index.json or, where there is no index,
  /// `folder`/model.safetensors, and checks every header. Throws Error or InputError naming the
  /// file, also where shards are missing, a tensor lies in two of them, or one does not hold a
  /// tensor that the index maps to it.
  static Checkpoint open(const std::filesystem::path& folder);

  bool contains(std::string_view name) const;
  /// All tensors, sorted.
  std::vector<std::string> names() const;

  /// Throws InputError where the tensor is missing, has another shape, or is not BF16, F16 or F32.
  const TensorInfo& expect(std::string_view name, std::span<const std::uint64_t> shape) const;

  /// The same for a tensor of F8_E4M3.
  const TensorInfo& expect_codes(std::string_view name, std::span<const std::uint64_t> shape) const;

  /// Reads rows [first_row, first_row + rows) as BF16; F16 and F32 are rounded to nearest even. A
  /// row holds all dimensions but the first; a tensor of one dimension is one row. Reads only the
  /// bytes of these rows. Throws Error where the rows do not exist, `out` has another size than
  /// they, or the file has been truncated since it was opened; InputError as `expect`.
  void read_rows(std::string_view name, std::uint64_t first_row, std::uint64_t rows,
                 std::span<std::uint16_t> out) const;

  /// The same for a tensor of F8_E4M3, byte for byte.
  void read_codes(std::string_view name, std::uint64_t first_row, std::uint64_t rows,
                  std::span<std::byte> out) const;

  /// All elements of a small tensor of F32, F16 or BF16, such as scales, in row-major order. Throws
  /// InputError where it is missing, of another type, or has not `count` elements.
  std::vector<float> read_floats(std::string_view name, std::uint64_t count) const;

  /// Whether some tensor is F16 or F32, so that reading rounds it.
  bool converts() const;
  /// For the record: "BF16", "F16 converted to BF16", "BF16 and F32 converted to BF16"; with
  /// quantized tensors "F8_E4M3 and BF16".
  std::string format() const;

 private:
  struct Place {
    std::size_t file;    // of files_
    std::size_t tensor;  // of its header
  };

  void add_file(const std::filesystem::path& path);
  void add_shards(const std::filesystem::path& index_path);
  const Place& find(std::string_view name) const;
  const TensorInfo& expect_readable(const Place& place) const;
  const TensorInfo& expect_dtype(const Place& place, FileDType dtype) const;
  const TensorInfo& expect_shape(const Place& place, std::span<const std::uint64_t> shape) const;
  std::uint64_t row_offset(const Place& place, std::uint64_t first_row, std::uint64_t rows,
                           std::uint64_t elements) const;
  std::set<std::string_view> readable_dtypes() const;
  const TensorInfo& info(const Place& place) const {
    return files_[place.file].header().tensors[place.tensor];
  }

  std::string folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace fp8cal
