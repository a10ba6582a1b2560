#pragma once

#include <string>

#include "jobs/checkpoint.hpp"
#include "jobs/model_config.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// The weights_digest of a checkpoint, read for nothing else: each rank reads some of its tensors.
/// On rank 0; empty elsewhere. threads: of this rank. Throws AgreedError where the checkpoint is
/// not as `config` says or cannot be read. Collective.
std::string read_weights_digest(const Checkpoint& checkpoint, const ModelConfig& config,
                                int threads, const Control& control);

/// Throws AgreedError where that digest is not `expected`, which rank 0 has from a result. model:
/// the checkpoint's folder. Collective.
void expect_weights_digest(const std::string& expected, const std::string& model,
                           const Checkpoint& checkpoint, const ModelConfig& config, int threads,
                           const Control& control);

}  // namespace fp8cal
