#pragma once

#include "kernels/backend.hpp"
#include "worker/layer_weights.hpp"
#include "worker/workspace.hpp"

namespace fp8cal {

/// The input of a product in FP8.
struct QuantizedInput {
  ConstMatrix codes;  // as x, e4m3
  Scales scale;       // 1, or one a row
};

/// x [tokens, inputs] bf16 as `linear` wants it, by its scale or one a token; in `workspace` until
/// the next call. linear.input is not bf16.
QuantizedInput quantize_input(Backend& backend, const Linear& linear, ConstMatrix x,
                              const Workspace& workspace);

}  // namespace fp8cal
