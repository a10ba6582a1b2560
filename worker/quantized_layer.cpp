#include "worker/quantized_layer.hpp"

#include "sharding/weight_shards.hpp"

namespace fp8cal {
namespace {

/// This slice's part of scales of rows or heads; a scale of a tensor is every slice's.
std::vector<float> own_part(const std::vector<float>& whole, int slices, int slice) {
  if (whole.size() <= 1) return whole;
  const Range own = share_of(whole.size(), slices, slice);
  const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(own.first);
  return {begin, begin + static_cast<std::ptrdiff_t>(own.count)};
}

}  // namespace

QuantizedLayer::QuantizedLayer(Backend& backend, const Layer& source, const Recipe& recipe,
                               const LayerScales& scales, int slices, int slice, Purpose purpose)
    : backend_(backend),
      recipe_(recipe),
      slices_(slices),
      slice_(slice),
      purpose_(purpose),
      layer_(source) {
  layer_.qkv = quantize(source.qkv.weight, scales, {0, 3});
  layer_.o = quantize(source.o.weight, scales, {3, 1});
  layer_.gate_up = quantize(source.gate_up.weight, scales, {4, 2});
  layer_.down = quantize(source.down.weight, scales, {6, 1});
  layer_.kv = kv_scales(scales);
  if (purpose != Purpose::decode) return;
  layer_.input_norm = copy(source.input_norm);
  layer_.post_attention_norm = copy(source.post_attention_norm);
}

Linear QuantizedLayer::quantize(ConstMatrix weight, const LayerScales& scales, Modules modules) {
  std::vector<float> weight_scale;
  for (std::size_t m = modules.first; m < modules.first + modules.count; ++m) {
    const std::vector<float> own = own_part(scales.linear[m].weight_scale, slices_, slice_);
    weight_scale.insert(weight_scale.end(), own.begin(), own.end());
    if (own.size() == 1) break;  // the modules share it
  }
  Linear linear;
  linear.weight_scale = on_device(weight_scale);
  linear.input = recipe_.input;
  linear.input_scale = on_device(scales.linear[modules.first].input_scale);
  if (recipe_.input == Recipe::Input::bf16 && purpose_ != Purpose::decode) {
    linear.weight = dequantized(weight, linear.weight_scale);
  } else if (weight.dtype == DType::bf16) {
    buffers_.push_back(backend_.allocate(weight.rows * weight.cols));
    const Matrix codes =
        Matrix::dense(buffers_.back().data(), DType::e4m3, weight.rows, weight.cols);
    backend_.quantize(weight, linear.weight_scale, codes);
    measure(weight, codes, linear.weight_scale);
    linear.weight = codes;
  } else {
    linear.weight = weight;
  }
  return linear;
}

/// What is left of the weights, in BF16.
ConstMatrix QuantizedLayer::dequantized(ConstMatrix weight, Scales scale) {
  buffers_.push_back(backend_.allocate(weight.rows * weight.cols * size_of(DType::bf16)));
  const Matrix out = Matrix::dense(buffers_.back().data(), DType::bf16, weight.rows, weight.cols);
  if (weight.dtype != DType::bf16) {
    backend_.dequantize(weight, scale, out);
    return out;
  }
  const Buffer codes = backend_.allocate(weight.rows * weight.cols);
  const Matrix quantized = Matrix::dense(codes.data(), DType::e4m3, weight.rows, weight.cols);
  backend_.quantize(weight, scale, quantized);
  measure(weight, quantized, scale);
  backend_.dequantize(quantized, scale, out);
  return out;
}

/// x [1, cols] bf16.
ConstMatrix QuantizedLayer::copy(ConstMatrix x) {
  buffers_.push_back(backend_.allocate(x.cols * size_of(x.dtype)));
  const Matrix out = Matrix::dense(buffers_.back().data(), x.dtype, 1, x.cols);
  backend_.interleave_columns(x.data, 1, out);
  return out;
}

void QuantizedLayer::measure(ConstMatrix weight, ConstMatrix codes, Scales scale) {
  if (purpose_ != Purpose::measure) return;
  errors_.push_back(backend_.allocate(weight.rows * sizeof(RowError)));
  backend_.row_errors(weight, codes, scale, errors_.back().as<RowError>());
}

std::vector<RowError> QuantizedLayer::errors() const {
  std::vector<RowError> all;
  for (const Buffer& one : errors_) {
    const std::size_t before = all.size();
    all.resize(before + one.bytes() / sizeof(RowError));
    backend_.download(all.data() + before, one.data(), one.bytes());
  }
  return all;
}

KvScales QuantizedLayer::kv_scales(const LayerScales& scales) {
  if (!recipe_.kv) return {};
  return {.dtype = recipe_.kv->format == Fp8Format::e4m3 ? DType::e4m3 : DType::e5m2,
          .key = on_device(own_part(scales.attention.k_scale, slices_, slice_)),
          .value = on_device(own_part(scales.attention.v_scale, slices_, slice_))};
}

Scales QuantizedLayer::on_device(const std::vector<float>& values) {
  if (values.empty()) return {};
  const std::size_t bytes = values.size() * sizeof(float);
  buffers_.push_back(backend_.allocate(bytes));
  backend_.upload(buffers_.back().data(), values.data(), bytes);
  backend_.synchronize();  // `values` may be gone next
  return {buffers_.back().as<float>(), values.size()};
}

}  // namespace fp8cal
