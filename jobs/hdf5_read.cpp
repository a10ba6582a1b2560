#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "jobs/error.hpp"
#include "jobs/hdf5.hpp"

namespace fp8cal::hdf5 {
namespace {

void refuse_foreign_storage(const Handle& dataset) {
  const Handle properties(FP8CAL_HDF5(H5Dget_create_plist(dataset.id())));
  if (FP8CAL_HDF5(H5Pget_layout(properties.id())) == H5D_VIRTUAL ||
      FP8CAL_HDF5(H5Pget_external_count(properties.id())) != 0) {
    throw InputError(describe(dataset), "storage", "elements in the file itself",
                     "external or virtual storage");
  }
}

/// HDF5 keeps a record of each chunk that a read touches, and may unpack a whole one to read a
/// part.
void refuse_costly_chunks(const Handle& dataset) {
  constexpr hsize_t kMaxChunks = hsize_t{1} << 17;  // a GiB in chunks of 8 KiB
  constexpr hsize_t kMaxChunkBytes = hsize_t{1} << 28;
  const Handle properties(FP8CAL_HDF5(H5Dget_create_plist(dataset.id())));
  if (FP8CAL_HDF5(H5Pget_layout(properties.id())) != H5D_CHUNKED) return;
  const Shape shape = shape_of(dataset, std::numeric_limits<std::size_t>::max());
  Shape chunk(shape.size());
  FP8CAL_HDF5(H5Pget_chunk(properties.id(), static_cast<int>(chunk.size()), chunk.data()));
  hsize_t left = kMaxChunks;
  hsize_t bytes_left = kMaxChunkBytes / std::max<hsize_t>(1, H5Tget_size(type_of(dataset).id()));
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const hsize_t size = std::max<hsize_t>(1, chunk[i]);
    left /= std::max<hsize_t>(1, shape[i] / size + (shape[i] % size != 0));
    bytes_left /= size;
  }
  if (left == 0 || bytes_left == 0) {
    throw InputError(
        describe(dataset), "storage",
        fmt::format("at most {} chunks of at most {} bytes", kMaxChunks, kMaxChunkBytes),
        "more or larger ones");
  }
}

/// Each string takes memory of its own, however few bytes it has in the file.
constexpr std::size_t kMaxStrings = std::size_t{1} << 20;

bool is_attribute(const Handle& array) { return FP8CAL_HDF5(H5Iget_type(array.id())) == H5I_ATTR; }

struct NumberType {
  const char* name;
  hid_t little_endian;
  hid_t big_endian;
  hid_t in_memory;
};

// Functions, as HDF5 has these identifiers only once it is running.
template <class T>
NumberType number_type();
template <>
NumberType number_type<std::uint8_t>() {
  return {"u8", H5T_STD_U8LE, H5T_STD_U8BE, H5T_NATIVE_UINT8};
}
template <>
NumberType number_type<std::uint32_t>() {
  return {"u32", H5T_STD_U32LE, H5T_STD_U32BE, H5T_NATIVE_UINT32};
}
template <>
NumberType number_type<std::uint64_t>() {
  return {"u64", H5T_STD_U64LE, H5T_STD_U64BE, H5T_NATIVE_UINT64};
}
template <>
NumberType number_type<std::int64_t>() {
  return {"i64", H5T_STD_I64LE, H5T_STD_I64BE, H5T_NATIVE_INT64};
}
template <>
NumberType number_type<float>() {
  return {"f32", H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_NATIVE_FLOAT};
}
template <>
NumberType number_type<double>() {
  return {"f64", H5T_IEEE_F64LE, H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE};
}

}  // namespace

Handle open_dataset(const Handle& location, const std::string& name) {
  silence();
  Handle dataset(H5Dopen2(location.id(), name.c_str(), H5P_DEFAULT));
  if (dataset.id() < 0) {
    H5Eclear2(H5E_DEFAULT);
    throw InputError(describe(location), "dataset", name, "nothing readable under that name");
  }
  refuse_foreign_storage(dataset);
  refuse_costly_chunks(dataset);
  return dataset;
}

Shape shape_of(const Handle& array, std::size_t max_elements) {
  const Handle space(is_attribute(array) ? FP8CAL_HDF5(H5Aget_space(array.id()))
                                         : FP8CAL_HDF5(H5Dget_space(array.id())));
  if (FP8CAL_HDF5(H5Sget_simple_extent_type(space.id())) == H5S_NULL) {
    throw InputError(describe(array), "shape", "a scalar or an array", "no elements and no shape");
  }
  Shape shape(static_cast<std::size_t>(FP8CAL_HDF5(H5Sget_simple_extent_ndims(space.id()))));
  FP8CAL_HDF5(H5Sget_simple_extent_dims(space.id(), shape.data(), nullptr));
  if (std::ranges::find(shape, hsize_t{0}) != shape.end()) return shape;
  bool fits = max_elements > 0;
  std::size_t elements = 1;
  for (const hsize_t size : shape) {
    fits = fits && size <= max_elements / elements;
    if (fits) elements *= size;
  }
  if (!fits) {
    throw InputError(describe(array), "size", fmt::format("at most {} elements", max_elements),
                     "more");
  }
  return shape;
}

std::size_t count_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

Handle type_of(const Handle& array) {
  // A committed type cannot be changed; a copy of it can.
  const Handle stored(is_attribute(array) ? FP8CAL_HDF5(H5Aget_type(array.id()))
                                          : FP8CAL_HDF5(H5Dget_type(array.id())));
  return Handle(FP8CAL_HDF5(H5Tcopy(stored.id())));
}

void read_elements(const Handle& array, hid_t memory_type, void* elements) {
  if (is_attribute(array)) {
    FP8CAL_HDF5(H5Aread(array.id(), memory_type, elements));
  } else {
    FP8CAL_HDF5(H5Dread(array.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, elements));
  }
}

template <class T>
std::vector<T> read_numbers(const Handle& array, const Shape& shape) {
  const NumberType number = number_type<T>();
  const Handle type = type_of(array);
  if (FP8CAL_HDF5(H5Tequal(type.id(), number.little_endian)) == 0 &&
      FP8CAL_HDF5(H5Tequal(type.id(), number.big_endian)) == 0) {
    throw InputError(describe(array), "type", number.name, "another type");
  }
  std::vector<T> values(count_of(shape));
  if (!values.empty()) read_elements(array, number.in_memory, values.data());
  return values;
}

template std::vector<std::uint8_t> read_numbers(const Handle&, const Shape&);
template std::vector<std::uint32_t> read_numbers(const Handle&, const Shape&);
template std::vector<std::uint64_t> read_numbers(const Handle&, const Shape&);
template std::vector<std::int64_t> read_numbers(const Handle&, const Shape&);
template std::vector<float> read_numbers(const Handle&, const Shape&);
template std::vector<double> read_numbers(const Handle&, const Shape&);

std::vector<std::int64_t> read_integers(const Handle& file, const std::string& name,
                                        std::size_t max_elements) {
  const Handle dataset = open_dataset(file, name);
  const Handle type = type_of(dataset);
  if (FP8CAL_HDF5(H5Tget_class(type.id())) != H5T_INTEGER || H5Tget_size(type.id()) > 8) {
    throw InputError(describe(dataset), "type", "integers of up to 8 bytes", "another type");
  }
  std::vector<std::int64_t> values(count_of(shape_of(dataset, max_elements)));
  if (!values.empty()) read_elements(dataset, H5T_NATIVE_INT64, values.data());
  // HDF5 clips what does not fit to the largest value.
  constexpr std::int64_t kClipped = std::numeric_limits<std::int64_t>::max();
  if (std::ranges::find(values, kClipped) != values.end()) {
    throw InputError(describe(dataset), "value", "less than 2^63 - 1", "that or more");
  }
  return values;
}

std::vector<std::string> read_strings(const Handle& array, std::size_t max_bytes) {
  const Handle type = type_of(array);
  if (FP8CAL_HDF5(H5Tget_class(type.id())) != H5T_STRING ||
      FP8CAL_HDF5(H5Tis_variable_str(type.id())) != 0) {
    throw InputError(describe(array), "type", "fixed-length strings", "another type");
  }
  const std::size_t width = H5Tget_size(type.id());
  if (width == 0) throw InputError(describe(array), "type", "strings of a length", "length 0");
  const std::size_t count = count_of(shape_of(array, std::min(max_bytes / width, kMaxStrings)));
  FP8CAL_HDF5(H5Tset_strpad(type.id(), H5T_STR_NULLPAD));
  std::string packed(count * width, '\0');
  if (count != 0) read_elements(array, type.id(), packed.data());
  std::vector<std::string> values;
  for (std::size_t i = 0; i < count; ++i) {
    std::string value = packed.substr(i * width, width);
    value.erase(value.find_last_not_of('\0') + 1);
    values.push_back(std::move(value));
  }
  return values;
}

std::string read_string_attribute(const Handle& object, const std::string& name,
                                  std::size_t max_bytes) {
  if (FP8CAL_HDF5(H5Aexists(object.id(), name.c_str())) == 0) {
    throw InputError(describe(object), "attribute", name, "none of that name");
  }
  const Handle attribute(FP8CAL_HDF5(H5Aopen(object.id(), name.c_str(), H5P_DEFAULT)));
  std::vector<std::string> values = read_strings(attribute, max_bytes);
  if (values.size() != 1) {
    throw InputError(describe(attribute), "size", "one string", fmt::to_string(values.size()));
  }
  return std::move(values.front());
}

}  // namespace fp8cal::hdf5
