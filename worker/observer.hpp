#pragma once

#include <cstddef>

#include "kernels/matrix.hpp"
#include "worker/layer_statistics.hpp"

namespace fp8cal {

/// Sees the tensors that a forward pass computes; the pass does not know what for.
class Observer {
 public:
  virtual ~Observer() = default;

  /// x [tokens, channels] bf16. Inputs of linear layers have all channels on every slice; keys
  /// (after RoPE) and values have the channels of the slice's own heads. first_row: of x in the
  /// microbatch, the first row of a sequence.
  virtual void observe(std::size_t layer, Site site, ConstMatrix x, std::size_t first_row) = 0;
};

}  // namespace fp8cal
