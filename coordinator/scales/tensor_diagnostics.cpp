#include "coordinator/scales/tensor_diagnostics.hpp"

#include <cmath>
#include <limits>

namespace fp8cal {

QuantizationError quantization_error(const Distribution& distribution, float scale,
                                     Fp8Format format) {
  return {.elements = distribution.elements(),
          .clipped = distribution.clipped(scale, format),
          .flushed = distribution.flushed(scale, format),
          .energy = distribution.energy(),
          .squared_error = distribution.squared_error(scale, format)};
}

double sqnr_db(const QuantizationError& error) {
  if (error.squared_error == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(error.energy / error.squared_error);
}

double effective_bits(const QuantizationError& error) { return (sqnr_db(error) - 1.76) / 6.02; }

double gain_db(double present, double other) {
  return present == other ? 0 : 10 * std::log10(present / other);
}

}  // namespace fp8cal
