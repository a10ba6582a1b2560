#pragma once

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/hdf5.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// How much memory a reader may still use for what an untrusted file asks for.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes) : left_(bytes) {}

  /// Throws InputError naming `where` if `count` times `bytes` are not left.
  void take(std::size_t count, std::size_t bytes, const hdf5::Handle& where);

 private:
  std::size_t left_;
};

/// Whether `name` is plain in a message, a path and HDF5 alike: it starts with a letter, a digit or
/// '_', goes on with these, '.' and '-', and has 1 to 256 bytes.
bool is_plain_name(std::string_view name);

/// A group of an untrusted result file. Whatever it gives was checked for kind, type and size
/// before it was read; every function throws InputError naming file and object where the file holds
/// something else.
class BoundedGroup {
 public:
  /// The group `name`, at most `max_links` names in it; `budget` must outlive this object. Names
  /// are plain.
  BoundedGroup(const hdf5::Handle& parent, const std::string& name, std::size_t max_links,
               MemoryBudget& budget);

  BoundedGroup group(const std::string& name, std::size_t max_links) const {
    return {group_, name, max_links, budget_};
  }

  const std::vector<hdf5::Link>& links() const { return links_; }  ///< in byte order of names
  bool has(std::string_view name) const;

  /// Throws if the group holds another name.
  void require_only(std::initializer_list<std::string_view> names) const;

  /// The dimensions of the dataset `name`.
  hdf5::Shape shape(const std::string& name, std::size_t max_elements) const;

  /// The dataset `name`, of T (as hdf5::read_numbers) and just this shape. Its only attribute is
  /// `units`, or it has none where that is empty.
  template <class T>
  std::vector<T> numbers(const std::string& name, const hdf5::Shape& shape,
                         std::string_view units = {}) const;

  /// As `numbers`, of one dimension.
  template <class T>
  std::vector<T> list(const std::string& name, std::size_t max_elements,
                      std::string_view units = {}) const;

  /// The strings of the dataset `name`, which has one dimension and no attributes.
  std::vector<std::string> strings(const std::string& name, std::size_t max_bytes) const;

  /// The attributes: scalars of i64 and f64, strings, and lists of strings.
  Attributes attributes() const;

  /// "path:/group/name", for messages.
  std::string describe(const std::string& name) const;

 private:
  hdf5::Handle group_;
  std::vector<hdf5::Link> links_;
  MemoryBudget& budget_;
};

}  // namespace fp8cal
