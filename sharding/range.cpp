#include "sharding/range.hpp"

#include <algorithm>

namespace fp8cal {

Range share_of(std::size_t total, int parts, int index) {
  const std::size_t n = static_cast<std::size_t>(parts);
  const std::size_t i = static_cast<std::size_t>(index);
  const std::size_t first = total * i / n;
  return {first, total * (i + 1) / n - first};
}

std::size_t count_of(const Ranges& ranges) {
  std::size_t count = 0;
  for (const Range& one : ranges) count += one.count;
  return count;
}

Ranges joined(const Ranges& one, const Ranges& other) {
  Ranges sorted = one;
  sorted.insert(sorted.end(), other.begin(), other.end());
  std::ranges::sort(sorted, {}, &Range::first);
  Ranges all;
  for (const Range& next : sorted) {
    if (next.count == 0) continue;
    if (!all.empty() && all.back().end() == next.first) {
      all.back().count += next.count;
    } else {
      all.push_back(next);
    }
  }
  return all;
}

Ranges missing_from(const Ranges& ranges, std::size_t total) {
  Ranges missing;
  std::size_t at = 0;
  for (const Range& one : ranges) {
    if (one.first > at) missing.push_back({at, one.first - at});
    at = one.end();
  }
  if (at < total) missing.push_back({at, total - at});
  return missing;
}

Ranges part_of(const Ranges& ranges, Range which) {
  Ranges part;
  std::size_t before = 0;
  for (const Range& one : ranges) {
    const std::size_t begin = std::max(which.first, before);
    const std::size_t end = std::min(which.end(), before + one.count);
    if (begin < end) part.push_back({one.first + (begin - before), end - begin});
    before += one.count;
  }
  return part;
}

}  // namespace fp8cal
