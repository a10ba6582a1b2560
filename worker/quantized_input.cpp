#include "worker/quantized_input.hpp"

namespace fp8cal {

QuantizedInput quantize_input(Backend& backend, const Linear& linear, ConstMatrix x,
                              const Workspace& workspace) {
  const Matrix codes = workspace.quantized(x.rows, x.cols, DType::e4m3);
  if (linear.input == Recipe::Input::per_tensor) {
    backend.quantize(x, linear.input_scale, codes);
    return {codes, linear.input_scale};
  }
  backend.quantize_rows(x, codes, workspace.token_scales());
  return {codes, {workspace.token_scales(), x.rows}};
}

}  // namespace fp8cal
