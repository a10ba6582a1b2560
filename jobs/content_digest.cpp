#include "jobs/content_digest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "jobs/error.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

// A hostile file can reach one object under endlessly many names, or claim sizes that it does not
// have. A 70B result has about 5,000 objects on 4 levels, and 200 MB.
constexpr std::size_t kMaxNames = std::size_t{1} << 20;
constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxArrayBytes = std::size_t{1} << 30;
constexpr std::size_t kMaxHashedBytes = std::size_t{1} << 34;

struct Link {
  std::string name;
  H5L_type_t type;
};

herr_t add_link(hid_t, const char* name, const H5L_info_t* info, void* links) noexcept {
  auto& found = *static_cast<std::vector<Link>*>(links);
  found.push_back({name, info->type});
  return found.size() > kMaxNames;  // 1 ends the iteration
}

herr_t add_name(hid_t, const char* name, const H5A_info_t*, void* names) noexcept {
  auto& found = *static_cast<std::set<std::string>*>(names);
  found.insert(name);
  return found.size() > kMaxNames;
}

void require(bool holds, const Handle& where, const char* what, const std::string& expected,
             const std::string& found) {
  if (!holds) throw InputError(hdf5::describe(where), what, expected, found);
}

struct NumberType {
  const char* name;
  hid_t little_endian;
  hid_t big_endian;
};

/// The numbers that the serialisation knows. HDF5 has these identifiers only once it is running.
std::array<NumberType, 10> number_types() {
  return {{{"i8", H5T_STD_I8LE, H5T_STD_I8BE},
           {"i16", H5T_STD_I16LE, H5T_STD_I16BE},
           {"i32", H5T_STD_I32LE, H5T_STD_I32BE},
           {"i64", H5T_STD_I64LE, H5T_STD_I64BE},
           {"u8", H5T_STD_U8LE, H5T_STD_U8BE},
           {"u16", H5T_STD_U16LE, H5T_STD_U16BE},
           {"u32", H5T_STD_U32LE, H5T_STD_U32BE},
           {"u64", H5T_STD_U64LE, H5T_STD_U64BE},
           {"f32", H5T_IEEE_F32LE, H5T_IEEE_F32BE},
           {"f64", H5T_IEEE_F64LE, H5T_IEEE_F64BE}}};
}

NumberType number_type_of(const Handle& array) {
  const Handle type = hdf5::type_of(array);
  for (const NumberType& known : number_types()) {
    if (FP8CAL_HDF5(H5Tequal(type.id(), known.little_endian)) > 0 ||
        FP8CAL_HDF5(H5Tequal(type.id(), known.big_endian)) > 0) {
      return known;
    }
  }
  throw InputError(hdf5::describe(array), "type", "integers, f32, f64 or fixed-length strings",
                   "a type that the content digest does not cover");
}

/// The paths of all objects that count, in byte order.
class Walk {
 public:
  explicit Walk(const Handle& file) {
    paths_.push_back("/");
    const Handle root(FP8CAL_HDF5(H5Oopen(file.id(), "/", H5P_DEFAULT)));
    descend(root, "/", 1);
    std::ranges::sort(paths_);
  }

  const std::vector<std::string>& paths() const { return paths_; }

 private:
  void descend(const Handle& group, const std::string& prefix, std::size_t depth) {
    require(depth <= kMaxDepth, group, "depth", fmt::format("at most {} levels", kMaxDepth),
            "more");
    std::vector<Link> links;
    FP8CAL_HDF5(H5Literate(group.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_link, &links));
    for (const Link& link : links) {
      const std::string path = prefix + link.name;
      if (path == "/provenance" || path == "/profile") continue;
      require(link.type == H5L_TYPE_HARD, group, "link", "hard links only",
              fmt::format("{}, another kind of link", link.name));
      // HDF5 would take such a name for a path, and so open something else.
      require(link.name != "." && link.name.find('/') == std::string::npos, group, "link",
              "a plain name", link.name);
      add(group, path);
      const Handle object(FP8CAL_HDF5(H5Oopen(group.id(), link.name.c_str(), H5P_DEFAULT)));
      if (FP8CAL_HDF5(H5Iget_type(object.id())) == H5I_GROUP)
        descend(object, path + "/", depth + 1);
    }
  }

  void add(const Handle& group, const std::string& path) {
    path_bytes_ += path.size();
    require(paths_.size() < kMaxNames && path_bytes_ <= kMaxArrayBytes, group, "size",
            fmt::format("at most {} names in the file", kMaxNames), "more");
    paths_.push_back(path);
  }

  std::vector<std::string> paths_;
  std::size_t path_bytes_ = 0;
};

class Serialisation {
 public:
  explicit Serialisation(const Handle& file) : file_(file) { add_text("fp8cal content digest 1"); }

  void add_object(const std::string& path) {
    const Handle object(FP8CAL_HDF5(H5Oopen(file_.id(), path.c_str(), H5P_DEFAULT)));
    const H5I_type_t kind = FP8CAL_HDF5(H5Iget_type(object.id()));
    require(kind == H5I_GROUP || kind == H5I_DATASET, object, "kind", "a group or a dataset",
            "another kind of object");
    add_bytes(kind == H5I_GROUP ? "G" : "D", 1);
    add_text(path);
    if (kind == H5I_DATASET) add_array(hdf5::open_dataset(file_, path));
    add_attributes(object, path == "/");
  }

  std::string digest() { return to_hex(hash_.finish()); }

 private:
  void add_attributes(const Handle& object, bool is_root) {
    std::set<std::string> names;
    FP8CAL_HDF5(H5Aiterate2(object.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_name, &names));
    require(names.size() <= kMaxNames, object, "attributes", fmt::format("at most {}", kMaxNames),
            "more");
    if (is_root) names.erase("content_digest");
    add_number(names.size());
    for (const std::string& name : names) {
      add_text(name);
      add_array(Handle(FP8CAL_HDF5(H5Aopen(object.id(), name.c_str(), H5P_DEFAULT))));
    }
  }

  void add_array(const Handle& array) {
    const Handle type = hdf5::type_of(array);
    if (FP8CAL_HDF5(H5Tget_class(type.id())) == H5T_STRING) {
      add_strings(array);
    } else {
      add_numbers(array);
    }
  }

  void add_strings(const Handle& array) {
    const std::vector<std::string> values = hdf5::read_strings(array, kMaxArrayBytes);
    add_text("str");
    add_shape(hdf5::shape_of(array, kMaxArrayBytes));
    for (const std::string& value : values) add_text(value);
  }

  void add_numbers(const Handle& array) {
    const NumberType type = number_type_of(array);
    const std::size_t size = H5Tget_size(type.little_endian);
    const hdf5::Shape shape = hdf5::shape_of(array, kMaxArrayBytes / size);
    elements_.resize(hdf5::count_of(shape) * size);
    if (!elements_.empty()) hdf5::read_elements(array, type.little_endian, elements_.data());
    add_text(type.name);
    add_shape(shape);
    add_bytes(elements_.data(), elements_.size());
  }

  void add_shape(const hdf5::Shape& shape) {
    add_number(shape.size());
    for (const hsize_t size : shape) add_number(size);
  }

  void add_text(const std::string& text) {
    add_number(text.size());
    add_bytes(text.data(), text.size());
  }

  void add_number(std::uint64_t value) {
    std::array<unsigned char, 8> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = (value >> (8 * i)) & 0xFF;
    add_bytes(bytes.data(), bytes.size());
  }

  void add_bytes(const void* data, std::size_t bytes) {
    hashed_bytes_ += bytes;
    require(hashed_bytes_ <= kMaxHashedBytes, file_, "size",
            fmt::format("at most {} bytes in all", kMaxHashedBytes), "more");
    hash_.update(data, bytes);
  }

  const Handle& file_;
  Sha256 hash_;
  std::size_t hashed_bytes_ = 0;
  std::vector<std::byte> elements_;
};

}  // namespace

std::string content_digest(const Handle& file) {
  Serialisation serialisation(file);
  const Walk walk(file);
  for (const std::string& path : walk.paths()) serialisation.add_object(path);
  return serialisation.digest();
}

}  // namespace fp8cal
