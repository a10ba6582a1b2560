#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "jobs/bounded_group.hpp"
#include "jobs/error.hpp"

namespace fp8cal {

inline constexpr std::size_t kMaxModules = std::size_t{1} << 16;  // a 126-layer 405B has 1,134
inline constexpr std::size_t kMaxVariants = 256;  // recipes, with KV formats: twenty
inline constexpr std::size_t kMaxLinks = 16;      // of what has no list of names

/// Throws InputError, with `expected`, for the first of `values` that `holds` is not true of.
template <class T, class Holds>
void require_each(const BoundedGroup& group, const std::string& name, const std::vector<T>& values,
                  const char* expected, Holds holds) {
  const auto wrong = std::ranges::find_if_not(values, holds);
  if (wrong == values.end()) return;
  throw InputError(group.describe(name), "value", expected, fmt::to_string(*wrong));
}

inline void require_no_attributes(const BoundedGroup& group) {
  const Attributes attributes = group.attributes();
  if (attributes.empty()) return;
  throw InputError(group.describe(attributes.begin()->first), "attribute", "none",
                   "one of that name");
}

/// Calls read(name, group) for each name in `groups`, which holds nothing but groups of at most
/// `max_links` names each.
template <class Read>
void for_each_group(const BoundedGroup& groups, std::size_t max_links, Read read) {
  require_no_attributes(groups);
  for (const hdf5::Link& link : groups.links()) read(link.name, groups.group(link.name, max_links));
}

}  // namespace fp8cal
