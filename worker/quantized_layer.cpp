#include "worker/quantized_layer.hpp"

#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

/// The scales of this slice's rows, module after module; one where the modules share a scale.
std::vector<float> own_weight_scales(const LayerScales& scales, std::size_t first,
                                     std::size_t count, int slices, int slice) {
  if (scales[first].weight_scale.size() == 1) return scales[first].weight_scale;
  std::vector<float> own;
  for (std::size_t m = first; m < first + count; ++m) {
    const std::vector<float>& whole = scales[m].weight_scale;
    const Range rows = share_of(whole.size(), slices, slice);
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(rows.first);
    own.insert(own.end(), begin, begin + static_cast<std::ptrdiff_t>(rows.count));
  }
  return own;
}

}  // namespace

QuantizedLayer::QuantizedLayer(Backend& backend, const Layer& source, const LayerScales& scales,
                               int slices, int slice)
    : layer_(source) {
  layer_.qkv = quantize(backend, source.qkv.weight, scales, 0, 3, slices, slice);
  layer_.o = quantize(backend, source.o.weight, scales, 3, 1, slices, slice);
  layer_.gate_up = quantize(backend, source.gate_up.weight, scales, 4, 2, slices, slice);
  layer_.down = quantize(backend, source.down.weight, scales, 6, 1, slices, slice);
}

Linear QuantizedLayer::quantize(Backend& backend, ConstMatrix weight, const LayerScales& scales,
                                std::size_t first_module, std::size_t modules, int slices,
                                int slice) {
  const auto on_device = [&](const std::vector<float>& values) -> Scales {
    if (values.empty()) return {};
    buffers_.push_back(backend.allocate(values.size() * sizeof(float)));
    backend.upload(buffers_.back().data(), values.data(), values.size() * sizeof(float));
    backend.synchronize();  // `values` may be gone next
    return {buffers_.back().as<float>(), values.size()};
  };
  Linear linear;
  linear.weight_scale = on_device(own_weight_scales(scales, first_module, modules, slices, slice));
  linear.input_scale = on_device(scales[first_module].input_scale);
  buffers_.push_back(backend.allocate(weight.rows * weight.cols));
  const Matrix quantized =
      Matrix::dense(buffers_.back().data(), DType::e4m3, weight.rows, weight.cols);
  backend.quantize(weight, linear.weight_scale, quantized);
  linear.weight = quantized;
  return linear;
}

}  // namespace fp8cal
