#include "jobs/content_digest.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <set>
#include <vector>

#include "jobs/error.hpp"
#include "jobs/object_walk.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

// A hostile file can reach one object under endlessly many names, or claim sizes that it does not
// have.
constexpr std::size_t kMaxHashedBytes = std::size_t{1} << 34;
constexpr std::size_t kMaxProblems = 64;  // objects that cannot be read, before the rest is left

herr_t add_name(hid_t, const char* name, const H5A_info_t*, void* names) noexcept {
  auto& found = *static_cast<std::set<std::string>*>(names);
  found.insert(name);
  return found.size() > kMaxObjectNames;
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

class Serialisation {
 public:
  explicit Serialisation(const Handle& file) : file_(file) { add_text("fp8cal content digest 1"); }

  /// For end_object: from here on a piece is hashed once more, alone.
  void begin_object() { piece_.emplace(); }
  std::string end_object() { return to_hex(piece_->finish()); }

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
    require(names.size() <= kMaxObjectNames, object, "attributes",
            fmt::format("at most {}", kMaxObjectNames), "more");
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
    if (piece_) piece_->update(data, bytes);
  }

  const Handle& file_;
  Sha256 hash_;
  std::optional<Sha256> piece_;
  std::size_t hashed_bytes_ = 0;
  std::vector<std::byte> elements_;
};

}  // namespace

std::string content_digest(const Handle& file) {
  Serialisation serialisation(file);
  for (const WalkedObject& object : walk_objects(file)) {
    if (!object.problem.empty()) {
      throw Error(ExitCode::failed, fmt::format("{}: {}", object.path, object.problem));
    }
    serialisation.add_object(object.path);
  }
  return serialisation.digest();
}

ContentDigests content_digests(const Handle& file) {
  Serialisation serialisation(file);
  ContentDigests digests;
  std::size_t problems = 0;
  for (WalkedObject& object : walk_objects(file)) {
    ObjectDigest one = {std::move(object.path), {}, object.first_name, std::move(object.problem)};
    if (one.problem.empty()) {
      try {
        serialisation.begin_object();
        serialisation.add_object(one.path);
        one.sha256 = serialisation.end_object();
      } catch (const Error& error) {
        one.problem = error.what();
      }
    }
    problems += one.problem.empty() ? 0 : 1;
    require(problems <= kMaxProblems, file, "objects",
            fmt::format("at most {} that cannot be read", kMaxProblems), "more: " + one.problem);
    digests.objects.push_back(std::move(one));
  }
  if (problems == 0) digests.content = serialisation.digest();
  return digests;
}

}  // namespace fp8cal
