#pragma once

#include "coordinator/scales/distribution.hpp"
#include "jobs/statistics.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// What `scale` and `format` do to a tensor, exactly.
QuantizationError quantization_error(const Distribution& distribution, float scale,
                                     Fp8Format format);

/// Signal to quantization noise: 10 log10(energy / squared_error), in dB. Infinite where the error
/// is 0: every element is kept exactly.
double sqnr_db(const QuantizationError& error);

/// The bits of a uniform quantizer that has this ratio on a full-scale sine: (SQNR - 1.76) / 6.02,
/// the effective number of bits of IEEE Std 1241. May be negative or infinite.
double effective_bits(const QuantizationError& error);

/// 10 log10(present / other): what `other` gains, in dB, over the squared error `present`. 0 where
/// both are 0, infinite where only `other` is.
double gain_db(double present, double other);

}  // namespace fp8cal
