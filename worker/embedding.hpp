#pragma once

#include <cstdint>

#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// x[t] = the embedding of ids[t]. ids [tokens] in device memory; table: this slice's rows of the
/// vocabulary; x [tokens, hidden] bf16. Collective over the slices.
void embed_tokens(Backend& backend, Collectives& slices, const std::uint32_t* ids,
                  ConstMatrix table, Matrix x);

}  // namespace fp8cal
