#pragma once

#include <cstddef>
#include <vector>

namespace fp8cal {

/// A run of indices.
struct Range {
  std::size_t first = 0;
  std::size_t count = 0;

  std::size_t end() const { return first + count; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// Runs of indices in ascending order, none empty, none touching the next.
using Ranges = std::vector<Range>;

/// Part `index` of `parts` nearly equal runs of [0, total).
Range share_of(std::size_t total, int parts, int index);

/// How many indices.
std::size_t count_of(const Ranges& ranges);

/// The indices of both, which have none in common.
Ranges joined(const Ranges& one, const Ranges& other);

/// Those of [0, total) that are not in `ranges`.
Ranges missing_from(const Ranges& ranges, std::size_t total);

/// The indices of `ranges` from the `first`-th on, `count` of them.
Ranges part_of(const Ranges& ranges, Range which);

}  // namespace fp8cal
