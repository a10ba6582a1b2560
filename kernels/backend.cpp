#include "kernels/backend.hpp"

#include <stdexcept>

#include "kernels/checks.hpp"
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

void Backend::decode_attention(Matrix q, Matrix k, ConstMatrix v, std::size_t head_dim,
                               ConstMatrix cosine, ConstMatrix sine, const std::uint32_t* positions,
                               const KvCache& cache, Matrix out, const QuantizedRows& into) {
  rope_append(q, k, v, head_dim, cosine, sine, positions, cache);
  cached_attention(q, cache, positions, head_dim, out);
  if (into.codes.data != nullptr) quantize_into(*this, out, into);
}

void Backend::quantize_multiply_few(ConstMatrix x, const QuantizedRows& into, ConstMatrix weight,
                                    Scales weight_scale, Matrix out) {
  quantize_into(*this, x, into);
  multiply_few(into.codes, into.scales(), weight, weight_scale, out);
}

void Backend::multiply_few_silu(ConstMatrix x, Scales x_scale, ConstMatrix weight,
                                Scales weight_scale, Matrix products, Matrix out,
                                const QuantizedRows& into) {
  expect_multiple("multiply_few_silu: rows of weight", weight.rows, 2);
  const std::size_t width = weight.rows / 2;
  expect_matrix("multiply_few_silu: products", products, x.rows, weight.rows);
  multiply_few(x, x_scale, weight, weight_scale, products);
  silu_multiply(products.column_range(0, width), products.column_range(width, width), out);
  if (into.codes.data != nullptr) quantize_into(*this, out, into);
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
