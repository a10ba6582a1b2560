#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Evaluates an HDF5 call once; where it returns a negative value, throws Error (exit code 1) with
/// file, line, call and the text of HDF5's innermost error. Gives the call's value.
#define FP8CAL_HDF5(call) \
  ::fp8cal::hdf5::checked((::fp8cal::hdf5::silence(), (call)), #call, __FILE__, __LINE__)

namespace fp8cal::hdf5 {

/// Stops HDF5 from printing its errors in this thread.
void silence();

[[noreturn]] void throw_last_error(const char* call, const char* source_file, int line);

template <class T>
T checked(T value, const char* call, const char* source_file, int line) {
  if (value < 0) throw_last_error(call, source_file, line);
  return value;
}

/// Owns one HDF5 identifier of any kind. Move-only.
class Handle {
 public:
  Handle() = default;
  /// Takes over an identifier that a checked call returned.
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    Handle taken(std::move(other));
    std::swap(id_, taken.id_);
    return *this;
  }
  ~Handle();

  hid_t id() const { return id_; }
  /// Gives up an identifier that was closed otherwise.
  void release() { id_ = H5I_INVALID_HID; }

 private:
  hid_t id_ = H5I_INVALID_HID;
};

using Shape = std::vector<hsize_t>;

/// Throws InputError naming the path where it is missing, cannot be read or is not HDF5.
Handle open_read_only(const std::filesystem::path& path);

/// "path:/object", for messages. `object` is a file, group, dataset or attribute.
std::string describe(const Handle& object);

struct Link {
  std::string name;
  std::string target;  ///< opaque; two links of one file with equal targets lead to one object
};

/// The links of a group in byte order of their names. Throws InputError where one is no hard link,
/// and where there are more than `max_links`.
std::vector<Link> hard_links(const Handle& group, std::size_t max_links);

/// The names of an object's attributes in byte order. Throws InputError for more than `max_names`.
std::vector<std::string> attribute_names(const Handle& object, std::size_t max_names);

/// Throws InputError where the name is missing or no group.
Handle open_group(const Handle& location, const std::string& name);

/// Opens a dataset that keeps its elements in this file. Throws InputError where the name is
/// missing or no dataset, where the elements lie in other files (external, virtual), or in more
/// chunks (2^17) or larger ones (256 MiB) than are worth reading.
Handle open_dataset(const Handle& location, const std::string& name);

/// Dimensions of a dataset or attribute; {} for a scalar. Throws InputError where it has none, or
/// more than `max_elements` elements.
Shape shape_of(const Handle& array, std::size_t max_elements);

/// The number of elements of a shape from shape_of.
std::size_t count_of(const Shape& shape);

/// The type of a dataset's or attribute's elements.
Handle type_of(const Handle& array);

/// Reads a whole dataset or attribute, converted to `memory_type`, into memory that the caller has
/// sized by shape_of.
void read_elements(const Handle& array, hid_t memory_type, void* elements);

/// The elements, in row-major order, of a dataset or attribute of the shape that shape_of gave. T
/// is uint8_t, uint32_t, uint64_t, int64_t, float or double: throws InputError where the elements
/// are not of just that type, in either byte order.
template <class T>
std::vector<T> read_numbers(const Handle& array, const Shape& shape);

/// A dataset of any shape and any integer type of up to 8 bytes, flattened in row-major order.
/// Throws InputError for other types, for more than `max_elements` elements, and for a u64 value
/// that is not below 2^63 - 1.
std::vector<std::int64_t> read_integers(const Handle& file, const std::string& name,
                                        std::size_t max_elements);

/// Fixed-length strings of a dataset or attribute, flattened, without their padding. Throws
/// InputError for other types, where they take more than `max_bytes` together, and for more than
/// 2^20 strings.
std::vector<std::string> read_strings(const Handle& array, std::size_t max_bytes);

/// The attribute's one string. Throws InputError where it is missing, and as read_strings does.
std::string read_string_attribute(const Handle& object, const std::string& name,
                                  std::size_t max_bytes);

Handle create_group(const Handle& parent, const std::string& name);

/// Little-endian in the file; shape {} is a scalar. Gives the dataset, for its attributes.
Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const std::uint8_t> values);
Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const std::uint32_t> values);
Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const std::uint64_t> values);
Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const float> values);
Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const double> values);

/// As an attribute's list of strings.
Handle write_dataset(const Handle& parent, const std::string& name,
                     const std::vector<std::string>& values);

/// Strings are fixed-length UTF-8, padded with NULs, and must hold no NUL (std::invalid_argument);
/// an empty one takes one byte. A list is 1-D, its elements as long as its longest.
void write_attribute(const Handle& object, const std::string& name, std::string_view value);
void write_attribute(const Handle& object, const std::string& name, std::int64_t value);
void write_attribute(const Handle& object, const std::string& name, double value);
void write_attribute(const Handle& object, const std::string& name,
                     const std::vector<std::string>& values);

}  // namespace fp8cal::hdf5
