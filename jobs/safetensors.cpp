#include "jobs/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

struct DTypeEntry {
  FileDType dtype;
  std::string_view name;
  unsigned bits;
};

// In the order of the enumeration, which indexes it.
constexpr std::array kDTypes = {
    DTypeEntry{FileDType::boolean, "BOOL", 8},    DTypeEntry{FileDType::f4, "F4", 4},
    DTypeEntry{FileDType::f6_e2m3, "F6_E2M3", 6}, DTypeEntry{FileDType::f6_e3m2, "F6_E3M2", 6},
    DTypeEntry{FileDType::u8, "U8", 8},           DTypeEntry{FileDType::i8, "I8", 8},
    DTypeEntry{FileDType::f8_e5m2, "F8_E5M2", 8}, DTypeEntry{FileDType::f8_e4m3, "F8_E4M3", 8},
    DTypeEntry{FileDType::f8_e8m0, "F8_E8M0", 8}, DTypeEntry{FileDType::i16, "I16", 16},
    DTypeEntry{FileDType::u16, "U16", 16},        DTypeEntry{FileDType::f16, "F16", 16},
    DTypeEntry{FileDType::bf16, "BF16", 16},      DTypeEntry{FileDType::i32, "I32", 32},
    DTypeEntry{FileDType::u32, "U32", 32},        DTypeEntry{FileDType::f32, "F32", 32},
    DTypeEntry{FileDType::c64, "C64", 64},        DTypeEntry{FileDType::f64, "F64", 64},
    DTypeEntry{FileDType::i64, "I64", 64},        DTypeEntry{FileDType::u64, "U64", 64},
};

constexpr bool is_in_enumeration_order() {
  for (std::size_t i = 0; i < kDTypes.size(); ++i) {
    if (static_cast<std::size_t>(kDTypes[i].dtype) != i) return false;
  }
  return true;
}
static_assert(is_in_enumeration_order());

FileDType parse_dtype(const json& entry, const std::string& where) {
  const std::string& name = require_string(entry, "dtype", where);
  for (const DTypeEntry& candidate : kDTypes) {
    if (candidate.name == name) return candidate.dtype;
  }
  throw InputError(where, "dtype", "one that safetensors defines", in_quotes(name));
}

std::vector<std::uint64_t> parse_unsigned_array(const json& entry, const std::string& key,
                                                const std::string& where) {
  std::vector<std::uint64_t> values;
  for (const json& value : require_array(entry, key, where)) {
    if (!value.is_number_unsigned()) {
      throw InputError(where, key, "integers from 0 on", shown(value));
    }
    values.push_back(value.get<std::uint64_t>());
  }
  return values;
}

/// None where the product overflows, or ends within a byte.
std::optional<std::uint64_t> byte_length(FileDType dtype, std::span<const std::uint64_t> shape) {
  std::uint64_t bits = bits_of(dtype);
  for (const std::uint64_t dimension : shape) {
    if (__builtin_mul_overflow(bits, dimension, &bits)) return std::nullopt;
  }
  if (bits % 8 != 0) return std::nullopt;
  return bits / 8;
}

TensorInfo parse_tensor(const std::string& name, const json& entry, const std::string& where) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = parse_dtype(entry, where);
  if (const std::size_t count = require_array(entry, "shape", where).size();
      count > kMaxDimensions) {
    throw InputError(where, "shape", fmt::format("at most {} dimensions", kMaxDimensions),
                     std::to_string(count));
  }
  tensor.shape = parse_unsigned_array(entry, "shape", where);
  const json& offsets = require_array(entry, "data_offsets", where);
  if (offsets.size() != 2) {
    throw InputError(where, "data_offsets", "[begin, end]", shown(offsets));
  }
  const std::vector<std::uint64_t> range = parse_unsigned_array(entry, "data_offsets", where);
  tensor.begin = range[0];
  tensor.end = range[1];
  for (const auto& [key, value] : entry.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      throw InputError(where, "key", "dtype, shape, data_offsets", in_quotes(key));
    }
  }
  return tensor;
}

void check_length(const TensorInfo& tensor, const std::string& where) {
  if (tensor.begin > tensor.end) {
    throw InputError(where, "data_offsets", "begin <= end",
                     fmt::format("[{}, {}]", tensor.begin, tensor.end));
  }
  const std::string what =
      fmt::format("bytes of {} {}", name_of(tensor.dtype), shape_text(tensor.shape));
  const std::string found = std::to_string(tensor.end - tensor.begin);
  const std::optional<std::uint64_t> expected = byte_length(tensor.dtype, tensor.shape);
  if (!expected) throw InputError(where, what, "a whole number of bytes below 2^61", found);
  if (*expected != tensor.end - tensor.begin) {
    throw InputError(where, what, std::to_string(*expected), found);
  }
}

std::string tensor_place(const std::string& where, const std::string& name) {
  return fmt::format("{}: tensor {}", where, in_quotes(name));
}

void check_coverage(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes,
                    const std::string& where) {
  std::uint64_t covered = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.begin != covered) {
      throw InputError(
          tensor_place(where, tensor.name),
          tensor.begin < covered ? "data overlaps another tensor's" : "hole before data",
          fmt::format("begin at {}", covered), std::to_string(tensor.begin));
    }
    covered = tensor.end;
  }
  if (covered != data_bytes) {
    throw InputError(where, covered > data_bytes ? "file truncated" : "file too long",
                     fmt::format("{} bytes of tensor data", covered), std::to_string(data_bytes));
  }
}

std::map<std::string, std::string> parse_metadata(const json& object, const std::string& where) {
  std::map<std::string, std::string> metadata;
  const std::string place = where + ": __metadata__";
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string()) throw InputError(place, in_quotes(key), "a string", shown(value));
    metadata.emplace(key, value.get_ref<const std::string&>());
  }
  return metadata;
}

}  // namespace

std::string_view name_of(FileDType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].name; }

unsigned bits_of(FileDType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].bits; }

std::string shape_text(std::span<const std::uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::uint64_t parse_header_length(std::span<const std::byte, 8> prefix, std::uint64_t file_bytes,
                                  const std::string& where) {
  std::uint64_t length = 0;
  for (std::size_t i = prefix.size(); i-- > 0;) {
    length = length << 8 | std::to_integer<std::uint64_t>(prefix[i]);
  }
  const std::uint64_t limit = std::min(kMaxHeaderBytes, file_bytes - prefix.size());
  if (length > limit) {
    throw InputError(where, "safetensors header length", fmt::format("at most {}", limit),
                     std::to_string(length));
  }
  return length;
}

SafetensorsHeader parse_safetensors_header(std::string_view header_json, std::uint64_t data_bytes,
                                           const std::string& where) {
  if (!header_json.starts_with('{')) {
    throw InputError(where, "safetensors header", "{ as its first byte",
                     header_json.empty() ? "nothing" : in_quotes(header_json.substr(0, 1)));
  }
  const json document = parse_json(header_json, where);
  if (document.size() > kMaxTensorsInFile) {
    throw InputError(where, "number of tensors", fmt::format("at most {}", kMaxTensorsInFile),
                     std::to_string(document.size()));
  }
  SafetensorsHeader header;
  for (const auto& [name, entry] : document.items()) {
    if (name == "__metadata__") {
      header.metadata = parse_metadata(require_object(document, name, where), where);
      continue;
    }
    const std::string place = tensor_place(where, name);
    header.tensors.push_back(parse_tensor(name, entry, place));
    check_length(header.tensors.back(), place);
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  check_coverage(header.tensors, data_bytes, where);
  return header;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  File file = File::open(path);
  const std::uint64_t file_bytes = file.size();
  std::array<std::byte, 8> prefix;
  if (file_bytes < prefix.size() || file.read_at(0, prefix) < prefix.size()) {
    throw InputError(file.name(), "file size", "at least 8 bytes", std::to_string(file_bytes));
  }
  std::string text(parse_header_length(prefix, file_bytes, file.name()), '\0');
  const std::uint64_t data_begin = prefix.size() + text.size();
  if (file.read_at(prefix.size(), std::as_writable_bytes(std::span(text))) < text.size()) {
    throw InputError(file.name(), "file truncated", fmt::format("{} bytes", file_bytes), "fewer");
  }
  SafetensorsHeader header = parse_safetensors_header(text, file_bytes - data_begin, file.name());
  return {std::move(file), std::move(header), data_begin};
}

void SafetensorsFile::read(const TensorInfo& tensor, std::uint64_t offset,
                           std::span<std::byte> out) const {
  const std::uint64_t first = data_begin_ + tensor.begin + offset;
  const std::size_t got = file_.read_at(first, out);
  if (got < out.size()) {
    throw Error(
        ExitCode::failed,
        fmt::format("{}: file ended early: expected bytes {} to {}, found none from {} on",
                    tensor_place(name(), tensor.name), first, first + out.size(), first + got));
  }
}

}  // namespace fp8cal
