#pragma once

#include <string>

#include "jobs/bounded_group.hpp"
#include "jobs/error.hpp"

namespace fp8cal {

/// A group's attributes, of which each must be taken. The group must outlive this object.
class AttributesToTake {
 public:
  explicit AttributesToTake(const BoundedGroup& group)
      : group_(group), attributes_(group.attributes()) {}

  bool has(const std::string& name) const { return attributes_.contains(name); }

  /// Throws InputError where there is none of that name and type.
  template <class T>
  T take(const std::string& name) {
    const auto found = attributes_.find(name);
    const T* value = found == attributes_.end() ? nullptr : std::get_if<T>(&found->second);
    if (value == nullptr) {
      throw InputError(
          group_.describe(name), "attribute",
          std::is_same_v<T, std::string> ? "one string as documented" : "one number as documented",
          found == attributes_.end() ? "none" : "another type");
    }
    const T taken = *value;
    attributes_.erase(found);
    return taken;
  }

  void require_none_left() const {
    if (attributes_.empty()) return;
    throw InputError(group_.describe(attributes_.begin()->first), "attribute",
                     "documented ones only", "this one");
  }

 private:
  const BoundedGroup& group_;
  Attributes attributes_;
};

}  // namespace fp8cal
