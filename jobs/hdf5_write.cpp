#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "jobs/hdf5.hpp"

namespace fp8cal::hdf5 {
namespace {

/// A property list that leaves out modification times, so that equal content gives equal files.
Handle properties_without_times(hid_t property_class) {
  Handle properties(FP8CAL_HDF5(H5Pcreate(property_class)));
  FP8CAL_HDF5(H5Pset_obj_track_times(properties.id(), false));
  return properties;
}

Handle create_space(const Shape& shape) {
  if (shape.empty()) return Handle(FP8CAL_HDF5(H5Screate(H5S_SCALAR)));
  return Handle(
      FP8CAL_HDF5(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr)));
}

Handle string_type(std::size_t bytes) {
  Handle type(FP8CAL_HDF5(H5Tcopy(H5T_C_S1)));
  FP8CAL_HDF5(H5Tset_size(type.id(), bytes));
  FP8CAL_HDF5(H5Tset_strpad(type.id(), H5T_STR_NULLPAD));
  FP8CAL_HDF5(H5Tset_cset(type.id(), H5T_CSET_UTF8));
  return type;
}

Handle write_elements(const Handle& parent, const std::string& name, const Shape& shape,
                      hid_t file_type, hid_t memory_type, const void* values, std::size_t count) {
  if (count_of(shape) != count) {
    throw std::invalid_argument(fmt::format("dataset {}: a shape of {} elements, but {} values",
                                            name, count_of(shape), count));
  }
  const Handle space = create_space(shape);
  const Handle properties = properties_without_times(H5P_DATASET_CREATE);
  Handle dataset(FP8CAL_HDF5(H5Dcreate2(parent.id(), name.c_str(), file_type, space.id(),
                                        H5P_DEFAULT, properties.id(), H5P_DEFAULT)));
  if (count != 0) {
    FP8CAL_HDF5(H5Dwrite(dataset.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
  }
  return dataset;
}

void write_attribute_value(const Handle& object, const std::string& name, const Shape& shape,
                           hid_t file_type, hid_t memory_type, const void* value) {
  const Handle space = create_space(shape);
  const Handle attribute(FP8CAL_HDF5(
      H5Acreate2(object.id(), name.c_str(), file_type, space.id(), H5P_DEFAULT, H5P_DEFAULT)));
  if (count_of(shape) != 0) FP8CAL_HDF5(H5Awrite(attribute.id(), memory_type, value));
}

void refuse_nul(const std::string& name, std::string_view value) {
  if (value.find('\0') != std::string_view::npos) {
    throw std::invalid_argument(fmt::format("{}: a string that holds a NUL byte", name));
  }
}

struct PackedStrings {
  Handle type;
  std::string bytes;
};

/// Each string padded with NULs to the longest.
PackedStrings pack_strings(const std::string& name, const std::vector<std::string>& values) {
  std::size_t longest = 1;
  for (const std::string& value : values) {
    refuse_nul(name, value);
    longest = std::max(longest, value.size());
  }
  PackedStrings packed{string_type(longest), {}};
  for (const std::string& value : values) {
    packed.bytes.append(value).append(longest - value.size(), '\0');
  }
  return packed;
}

}  // namespace

Handle create_group(const Handle& parent, const std::string& name) {
  const Handle properties = properties_without_times(H5P_GROUP_CREATE);
  return Handle(FP8CAL_HDF5(
      H5Gcreate2(parent.id(), name.c_str(), H5P_DEFAULT, properties.id(), H5P_DEFAULT)));
}

Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const std::uint8_t> values) {
  return write_elements(parent, name, shape, H5T_STD_U8LE, H5T_NATIVE_UINT8, values.data(),
                        values.size());
}

Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const std::uint32_t> values) {
  return write_elements(parent, name, shape, H5T_STD_U32LE, H5T_NATIVE_UINT32, values.data(),
                        values.size());
}

Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const std::uint64_t> values) {
  return write_elements(parent, name, shape, H5T_STD_U64LE, H5T_NATIVE_UINT64, values.data(),
                        values.size());
}

Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const float> values) {
  return write_elements(parent, name, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(),
                        values.size());
}

Handle write_dataset(const Handle& parent, const std::string& name, const Shape& shape,
                     std::span<const double> values) {
  return write_elements(parent, name, shape, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values.data(),
                        values.size());
}

Handle write_dataset(const Handle& parent, const std::string& name,
                     const std::vector<std::string>& values) {
  const PackedStrings packed = pack_strings(name, values);
  return write_elements(parent, name, {values.size()}, packed.type.id(), packed.type.id(),
                        packed.bytes.data(), values.size());
}

void write_attribute(const Handle& object, const std::string& name, std::string_view value) {
  refuse_nul(name, value);
  const std::string padded = value.empty() ? std::string(1, '\0') : std::string(value);
  const Handle type = string_type(padded.size());
  write_attribute_value(object, name, {}, type.id(), type.id(), padded.data());
}

void write_attribute(const Handle& object, const std::string& name, std::int64_t value) {
  write_attribute_value(object, name, {}, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

void write_attribute(const Handle& object, const std::string& name, double value) {
  write_attribute_value(object, name, {}, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

void write_attribute(const Handle& object, const std::string& name,
                     const std::vector<std::string>& values) {
  const PackedStrings packed = pack_strings(name, values);
  write_attribute_value(object, name, {values.size()}, packed.type.id(), packed.type.id(),
                        packed.bytes.data());
}

}  // namespace fp8cal::hdf5
