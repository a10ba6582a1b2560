#pragma once

#include "jobs/model_config.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// The model as a result's /job tells it: every key begins with "model.".
Attributes model_attributes(const ModelConfig& config);

/// Throws InputError naming `where` and the first key in which the model `config` differs from the
/// one that `job`, the /job of a result, tells of.
void expect_same_model(const ModelConfig& config, const Attributes& job, const std::string& where);

}  // namespace fp8cal
