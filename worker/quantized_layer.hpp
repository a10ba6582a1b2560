#pragma once

#include <array>

#include "jobs/recipe.hpp"
#include "jobs/statistics.hpp"
#include "kernels/backend.hpp"
#include "worker/layer_weights.hpp"

namespace fp8cal {

/// The scales of a layer under one recipe, whole: of all slices.
struct LayerScales {
  std::array<ModuleScales, kLinearModules> linear;
  ModuleScales attention;  ///< k_scale and v_scale
};

/// One layer as a recipe computes it, made from another.
class QuantizedLayer {
 public:
  enum class Purpose {
    evaluate,  ///< beside `source`, which keeps the norms, and its weights where they are in FP8
               ///< already, by the same scales; where inputs are BF16, so are the weights again
    measure,   ///< the same, and errors() will be asked for
    decode,    ///< in place of `source`, in BF16, which may go; weights stay FP8 in every recipe
  };

  /// slice of slices: which rows of the whole modules `source` holds.
  QuantizedLayer(Backend& backend, const Layer& source, const Recipe& recipe,
                 const LayerScales& scales, int slices, int slice, Purpose purpose);

  const Layer& layer() const { return layer_; }

  /// What quantizing did to each row of this slice of the linear modules, one module after the
  /// other; empty where the weights came in FP8 or nothing is measured. Waits for the backend.
  std::vector<RowError> errors() const;

 private:
  /// Which of the linear modules are one matrix.
  struct Modules {
    std::size_t first;
    std::size_t count;
  };
  Linear quantize(ConstMatrix weight, const LayerScales& scales, Modules modules);
  KvScales kv_scales(const LayerScales& scales);
  Scales on_device(const std::vector<float>& values);
  ConstMatrix dequantized(ConstMatrix weight, Scales scale);
  ConstMatrix copy(ConstMatrix x);
  void measure(ConstMatrix weight, ConstMatrix codes, Scales scale);

  Backend& backend_;
  const Recipe recipe_;
  const int slices_;
  const int slice_;
  const Purpose purpose_;
  std::vector<Buffer> buffers_;
  std::vector<Buffer> errors_;  // RowErrors of qkv, o, gate_up and down
  Layer layer_;
};

}  // namespace fp8cal
