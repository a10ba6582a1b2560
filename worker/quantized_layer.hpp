#pragma once

#include <array>

#include "jobs/statistics.hpp"
#include "kernels/backend.hpp"
#include "worker/layer_weights.hpp"

namespace fp8cal {

/// The scales of a layer's linear modules under one recipe, whole: of all slices.
using LayerScales = std::array<ModuleScales, kLinearModules>;

/// One layer's linear weights in FP8, beside the BF16 layer that they were made from.
class QuantizedLayer {
 public:
  /// slice of slices: which rows of the whole modules `source` holds. `source` keeps the norms and
  /// must outlive this.
  QuantizedLayer(Backend& backend, const Layer& source, const LayerScales& scales, int slices,
                 int slice);

  const Layer& layer() const { return layer_; }

 private:
  Linear quantize(Backend& backend, ConstMatrix weight, const LayerScales& scales,
                  std::size_t first_module, std::size_t modules, int slices, int slice);

  std::vector<Buffer> buffers_;
  Layer layer_;
};

}  // namespace fp8cal
