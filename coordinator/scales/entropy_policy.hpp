#pragma once

#include <span>

#include "coordinator/scales/magnitude_sums.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// The clipping magnitude m with the least Kullback-Leibler divergence sum P log(P / Q) between the
/// elements clipped at m and what quantization leaves of them: the entropy calibration of S.
/// Migacz, "8-bit Inference with TensorRT", GTC 2017, with FP8's codes in place of 128 equal steps.
///
/// P: the histogram of the magnitudes up to m, all above counted in m's bin. Q: the histogram up to
/// m without what is above; the elements of each FP8 code spread evenly over the occurring
/// magnitudes that round to it with scale = m / largest. Both normalised to a sum of 1.
///
/// Zeros are left out: they stay zero under every scale, and spread over what is flushed to zero
/// they would outweigh it. Every occurring magnitude is tried that has at least as many different
/// ones from itself down as the format has codes that are not zero (126 or 123), as Migacz goes
/// down to 128 bins: with fewer, nothing need be merged, and a tensor clipped to a single magnitude
/// has divergence 0. Of equals the larger; the largest element where there is no other; 0 where all
/// elements are zero.
///
/// below: as from sums_below. Natural logarithms by std::log: only the choice depends on them.
float least_divergence(std::span<const MagnitudeSums> below, Fp8Format format);

}  // namespace fp8cal
