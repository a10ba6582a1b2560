#include "kernels/backend.hpp"

#include <stdexcept>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cuda/cuda_backend.hpp"

namespace fp8cal {

namespace {

void quantize_into(Backend& backend, ConstMatrix x, const QuantizedRows& into) {
  if (into.scale.count == 0) return backend.quantize_rows(x, into.codes, into.row_scales);
  backend.quantize(x, into.scale, into.codes);
}

}  // namespace

void Backend::add_rms_norm_quantize(Matrix residual, ConstMatrix delta, ConstMatrix weight,
                                    float epsilon, Matrix out, const QuantizedRows& into) {
  add_rms_norm(residual, delta, weight, epsilon, out);
  quantize_into(*this, out, into);
}

void Backend::silu_multiply_quantize(ConstMatrix gate, ConstMatrix up, Matrix out,
                                     const QuantizedRows& into) {
  silu_multiply(gate, up, out);
  quantize_into(*this, out, into);
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const bool automatic = options.name == "auto";
  if (options.name == "cuda" || (automatic && cuda_device_count() > 0)) {
    return make_cuda_backend(options.device);
  }
  if (options.name == "cpu" || automatic) return make_cpu_backend(options.threads);
  throw std::invalid_argument("unknown backend '" + options.name + "'; expected auto, cpu or cuda");
}

}  // namespace fp8cal
