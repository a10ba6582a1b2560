#pragma once

#include <string>

#include "coordinator/checkpoint/export_tensors.hpp"

namespace fp8cal {

/// One recipe's scales as bytes for the other ranks.
std::string pack_scales(const RecipeScales& scales);

/// The scales that pack_scales packed. Throws Error where the bytes end early.
RecipeScales unpack_scales(const std::string& bytes);

}  // namespace fp8cal
