#include "coordinator/checkpoint/scale_packing.hpp"

#include "jobs/packing.hpp"

namespace fp8cal {

std::string pack_scales(const RecipeScales& scales) {
  std::string bytes;
  for (const auto& [module, one] : scales) {
    pack(bytes, module);
    for (const auto* values : {&one.weight_scale, &one.input_scale, &one.k_scale, &one.v_scale}) {
      pack(bytes, *values);
    }
  }
  return bytes;
}

RecipeScales unpack_scales(const std::string& bytes) {
  RecipeScales scales;
  for (Unpacker from(bytes); !from.done();) {
    std::string module;
    from.take(module);
    ModuleScales& one = scales[module];
    for (auto* values : {&one.weight_scale, &one.input_scale, &one.k_scale, &one.v_scale}) {
      from.take(*values);
    }
  }
  return scales;
}

}  // namespace fp8cal
