#include "jobs/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/safetensors_index.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

constexpr std::size_t kConvertedAtOnce = std::size_t{1} << 16;  // elements

/// Old checkpoints hold an F32 table that follows from the configuration and is never read. Scales
/// of quantized tensors are read as they are.
bool is_beside_the_model(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with("_scale");
}

bool is_readable(FileDType dtype) {
  return dtype == FileDType::bf16 || dtype == FileDType::f16 || dtype == FileDType::f32;
}

/// An F16 number has 2^16 values: a table of their BF16 roundings converts fast.
const std::vector<bf16_bits>& bf16_of_fp16() {
  static const std::vector<bf16_bits> table = [] {
    std::vector<bf16_bits> values(std::size_t{1} << 16);
    for (std::size_t bits = 0; bits < values.size(); ++bits) {
      values[bits] = float_to_bf16(fp16_to_float(static_cast<std::uint16_t>(bits)));
    }
    return values;
  }();
  return table;
}

/// in [out.size()] of `dtype`, F16 or F32, unaligned.
void convert(FileDType dtype, const std::byte* in, std::span<std::uint16_t> out) {
  if (dtype == FileDType::f16) {
    const std::vector<bf16_bits>& table = bf16_of_fp16();
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::uint16_t bits;
      std::memcpy(&bits, in + i * sizeof bits, sizeof bits);
      out[i] = table[bits];
    }
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    float value;
    std::memcpy(&value, in + i * sizeof value, sizeof value);
    out[i] = float_to_bf16(value);
  }
}

/// Rows and elements of a row, as read_rows counts them.
struct RowLayout {
  std::uint64_t rows = 1;
  std::uint64_t width = 1;
};

RowLayout layout_of(const TensorInfo& tensor) {
  RowLayout layout;
  const bool has_rows = tensor.shape.size() > 1;
  if (has_rows) layout.rows = tensor.shape.front();
  for (std::size_t i = has_rows ? 1 : 0; i < tensor.shape.size(); ++i) {
    layout.width *= tensor.shape[i];
  }
  return layout;
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& folder) {
  const fs::path index = folder / "model.safetensors.index.json";
  const fs::path single = folder / "model.safetensors";
  std::error_code unreadable;  // exists() then says false, and the message what was expected
  if (!fs::is_directory(folder, unreadable)) {
    throw InputError(folder.string(), "checkpoint", "a folder",
                     fs::exists(folder, unreadable) ? "a file" : "nothing");
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder.string();
  if (fs::exists(index, unreadable)) {
    checkpoint.add_shards(index);
  } else if (fs::exists(single, unreadable)) {
    checkpoint.add_file(single);
  } else {
    throw InputError(folder.string(), "checkpoint",
                     "model.safetensors or model.safetensors.index.json", "neither");
  }
  return checkpoint;
}

void Checkpoint::add_shards(const fs::path& index_path) {
  const fs::path folder = index_path.parent_path();
  const SafetensorsIndex index = read_safetensors_index(index_path);
  for (const std::string& shard : index.shards) add_file(folder / shard);
  for (const auto& [tensor, shard] : index.weight_map) {
    const std::string mapped_to = (folder / shard).string();
    const auto place = places_.find(tensor);
    if (place == places_.end() || files_[place->second.file].name() != mapped_to) {
      throw InputError(mapped_to, "tensor missing",
                       in_quotes(tensor) + ", which the index maps to this shard", "none");
    }
  }
}

void Checkpoint::add_file(const fs::path& path) {
  const SafetensorsFile& file = files_.emplace_back(SafetensorsFile::open(path));
  const std::vector<TensorInfo>& tensors = file.header().tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto [known, is_new] = places_.try_emplace(tensors[i].name, Place{files_.size() - 1, i});
    if (!is_new) {
      throw InputError(
          folder_, "tensor " + in_quotes(tensors[i].name), "in one file",
          fmt::format("it in {} and {}", files_[known->second.file].name(), file.name()));
    }
  }
}

bool Checkpoint::contains(std::string_view name) const { return places_.contains(name); }

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

const Checkpoint::Place& Checkpoint::find(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) {
    throw InputError(folder_, "tensor missing", in_quotes(name), "none");
  }
  return found->second;
}

const TensorInfo& Checkpoint::expect_readable(const Place& place) const {
  const TensorInfo& tensor = info(place);
  if (!is_readable(tensor.dtype)) {
    throw InputError(
        fmt::format("{}: tensor {}", files_[place.file].name(), in_quotes(tensor.name)), "dtype",
        "BF16, F16 or F32", std::string(name_of(tensor.dtype)));
  }
  return tensor;
}

const TensorInfo& Checkpoint::expect(std::string_view name,
                                     std::span<const std::uint64_t> shape) const {
  const Place& place = find(name);
  expect_readable(place);
  return expect_shape(place, shape);
}

const TensorInfo& Checkpoint::expect_codes(std::string_view name,
                                           std::span<const std::uint64_t> shape) const {
  const Place& place = find(name);
  expect_dtype(place, FileDType::f8_e4m3);
  return expect_shape(place, shape);
}

const TensorInfo& Checkpoint::expect_dtype(const Place& place, FileDType dtype) const {
  const TensorInfo& tensor = info(place);
  if (tensor.dtype == dtype) return tensor;
  throw InputError(fmt::format("{}: tensor {}", files_[place.file].name(), in_quotes(tensor.name)),
                   "dtype", std::string(name_of(dtype)), std::string(name_of(tensor.dtype)));
}

const TensorInfo& Checkpoint::expect_shape(const Place& place,
                                           std::span<const std::uint64_t> shape) const {
  const TensorInfo& tensor = info(place);
  if (!std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end())) {
    throw InputError(
        fmt::format("{}: tensor {}", files_[place.file].name(), in_quotes(tensor.name)), "shape",
        shape_text(shape), shape_text(tensor.shape));
  }
  return tensor;
}

/// Where these rows begin in the tensor's data, in elements. Throws Error where they do not exist
/// or are not `elements`.
std::uint64_t Checkpoint::row_offset(const Place& place, std::uint64_t first_row,
                                     std::uint64_t rows, std::uint64_t elements) const {
  const TensorInfo& tensor = info(place);
  const RowLayout layout = layout_of(tensor);
  if (first_row > layout.rows || rows > layout.rows - first_row ||
      elements != rows * layout.width) {
    throw Error(
        ExitCode::failed,
        fmt::format("{}: tensor {}: cannot read rows {} to {} into {} elements: its shape is {}",
                    files_[place.file].name(), in_quotes(tensor.name), first_row, first_row + rows,
                    elements, shape_text(tensor.shape)));
  }
  return first_row * layout.width;
}

void Checkpoint::read_rows(std::string_view name, std::uint64_t first_row, std::uint64_t rows,
                           std::span<std::uint16_t> out) const {
  const Place& place = find(name);
  const TensorInfo& tensor = expect_readable(place);
  const std::uint64_t element_bytes = bits_of(tensor.dtype) / 8;
  std::uint64_t offset = row_offset(place, first_row, rows, out.size()) * element_bytes;
  if (tensor.dtype == FileDType::bf16) {
    files_[place.file].read(tensor, offset, std::as_writable_bytes(out));
    return;
  }
  std::vector<std::byte> chunk(std::min(out.size(), kConvertedAtOnce) * element_bytes);
  while (!out.empty()) {
    const std::size_t count = std::min(out.size(), kConvertedAtOnce);
    const std::span<std::byte> bytes = std::span(chunk).first(count * element_bytes);
    files_[place.file].read(tensor, offset, bytes);
    convert(tensor.dtype, bytes.data(), out.first(count));
    offset += bytes.size();
    out = out.subspan(count);
  }
}

void Checkpoint::read_codes(std::string_view name, std::uint64_t first_row, std::uint64_t rows,
                            std::span<std::byte> out) const {
  const Place& place = find(name);
  const TensorInfo& tensor = expect_dtype(place, FileDType::f8_e4m3);
  files_[place.file].read(tensor, row_offset(place, first_row, rows, out.size()), out);
}

std::vector<float> Checkpoint::read_floats(std::string_view name, std::uint64_t count) const {
  const Place& place = find(name);
  const TensorInfo& tensor = expect_readable(place);
  const RowLayout layout = layout_of(tensor);
  if (layout.rows * layout.width != count) {
    throw InputError(fmt::format("{}: tensor {}", files_[place.file].name(), in_quotes(name)),
                     "elements", fmt::to_string(count), shape_text(tensor.shape));
  }
  std::vector<std::byte> bytes(count * (bits_of(tensor.dtype) / 8));
  files_[place.file].read(tensor, 0, bytes);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (tensor.dtype == FileDType::f32) {
      std::memcpy(&values[i], bytes.data() + i * sizeof(float), sizeof(float));
      continue;
    }
    std::uint16_t bits;
    std::memcpy(&bits, bytes.data() + i * sizeof bits, sizeof bits);
    values[i] = tensor.dtype == FileDType::bf16 ? bf16_to_float(bits) : fp16_to_float(bits);
  }
  return values;
}

bool Checkpoint::converts() const {
  const std::set<std::string_view> dtypes = readable_dtypes();
  return dtypes.contains("F16") || dtypes.contains("F32");
}

std::string Checkpoint::format() const {
  const auto is_fp8 = [this](const auto& one) {
    return info(one.second).dtype == FileDType::f8_e4m3;
  };
  const char* fp8 = std::ranges::any_of(places_, is_fp8) ? "F8_E4M3 and " : "";
  return fp8 + fmt::format("{}{}", fmt::join(readable_dtypes(), " and "),
                           converts() ? " converted to BF16" : "");
}

std::set<std::string_view> Checkpoint::readable_dtypes() const {
  std::set<std::string_view> dtypes;
  for (const auto& [name, place] : places_) {
    const FileDType dtype = info(place).dtype;
    if (is_readable(dtype) && !is_beside_the_model(name)) dtypes.insert(name_of(dtype));
  }
  return dtypes;
}

}  // namespace fp8cal
