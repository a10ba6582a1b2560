#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// The range of a layer's keys or values.
struct KvRange {
  std::size_t layer = 0;
  float amax = 0;  ///< of the head with the largest
  std::optional<float>
      smallest_head;  ///< amax of the head with the smallest, where heads are known
  float most = 0;     ///< the magnitude that 99.9 % of the elements do not exceed
};

struct KvFigure {
  std::vector<KvRange> keys;  ///< after RoPE; by layer
  std::vector<KvRange> values;
};

KvFigure kv_ranges(const Result& result);

}  // namespace fp8cal
