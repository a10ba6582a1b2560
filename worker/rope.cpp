#include "worker/rope.hpp"

#include <cmath>
#include <numbers>

#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

float stretch(float frequency, const Llama3RopeScaling& scaling) {
  const float factor = static_cast<float>(scaling.factor);
  const float low = static_cast<float>(scaling.low_freq_factor);
  const float high = static_cast<float>(scaling.high_freq_factor);
  const float original = static_cast<float>(scaling.original_max_position_embeddings);
  const float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1.0f - smooth) * (frequency / factor) + smooth * frequency;
}

}  // namespace

std::vector<float> inverse_frequencies(const ModelConfig& config) {
  std::vector<float> frequencies(config.head_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim);
    const float base = static_cast<float>(std::pow(config.rope_theta, exponent));
    const float plain = 1.0f / base;
    frequencies[i] = config.rope_scaling ? stretch(plain, *config.rope_scaling) : plain;
  }
  return frequencies;
}

RopeTable make_rope_table(const ModelConfig& config, std::size_t positions) {
  const std::vector<float> frequencies = inverse_frequencies(config);
  RopeTable table;
  table.half = frequencies.size();
  for (std::size_t position = 0; position < positions; ++position) {
    for (float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      // In double, so that the f32 value is rounded right and depends on no math library.
      table.cosine.push_back(float_to_bf16(static_cast<float>(std::cos(double{angle}))));
      table.sine.push_back(float_to_bf16(static_cast<float>(std::sin(double{angle}))));
    }
  }
  return table;
}

}  // namespace fp8cal
