#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/report/magnitude_bins.hpp"
#include "coordinator/report/tensor_place.hpp"
#include "jobs/result.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {

/// Where what a scale keeps ends among MagnitudeBins: at a position, in a bin that may hold both.
struct RangeEdge {
  double position = 0;  ///< moved to the end of the bin where all in it is on one side
  std::size_t bin = 0;
  std::uint64_t kept = 0;    ///< elements in the bin
  std::uint64_t beyond = 0;  ///< elements in the bin that are flushed, or clipped
};

/// A static scale and what it does to a tensor.
struct ScaledRange {
  std::vector<std::string> recipes = {};  ///< that have it
  Fp8Format format = Fp8Format::e4m3;
  float scale = 0;
  bool per_head = false;    ///< `scale` is the largest of several; what they do is not known
  float largest = 0;        ///< the magnitude of the largest FP8 number
  float smallest_kept = 0;  ///< the smallest BF16 magnitude that does not become zero
  QuantizationError error = {};
  RangeEdge low = {};   ///< below it, elements become zero
  RangeEdge high = {};  ///< above it, they are clipped
};

/// One observed tensor, with the static scales that recipes give it.
struct TensorDistribution {
  std::string module;
  std::optional<TensorPlace> place = {};
  MagnitudeBins bins;
  std::uint64_t elements = 0;
  float amax = 0;
  std::vector<ScaledRange> ranges = {};  ///< none: scaled at run time, or not quantized
};

/// In the order in which data flow through the model.
std::vector<TensorDistribution> tensor_distributions(const Result& result);

/// Of each column, the tensor that loses most: the lowest signal-to-noise ratio, or else the
/// largest amax. Indices.
std::vector<std::size_t> worst_of_columns(const std::vector<TensorDistribution>& tensors);

}  // namespace fp8cal
