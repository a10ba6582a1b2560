#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "jobs/model_config.hpp"
#include "jobs/recipe.hpp"
#include "kernels/matrix.hpp"
#include "sharding/plan.hpp"
#include "sharding/workspace_bytes.hpp"

namespace fp8cal {

/// What a decoder has room for.
struct DecoderShape {
  std::size_t sequences = 1;  ///< that it decodes together
  std::size_t capacity = 0;   ///< tokens that it keeps of each
  std::size_t chunk = 0;      ///< most tokens of a prompt computed at once; 0: it takes no prompts
  DType kv = DType::bf16;     ///< what keys and values are kept in: bf16, e4m3 or e5m2

  /// Most rows of any product.
  std::size_t rows() const { return chunk > sequences ? chunk : sequences; }
};

/// Bytes of each buffer of worker/decoder.hpp.
struct DecoderBytes {
  WorkspaceBytes workspace;
  std::uint64_t hidden = 0, prompt = 0, targets = 0, nll = 0;
  std::uint64_t places = 0;  ///< 0, 1, ...: the positions of a prompt
  std::uint64_t rope = 0;    ///< of the cosines, and of the sines
  std::uint64_t ids = 0;     ///< and of the positions
  std::uint64_t logits = 0, own_tops = 0, tops = 0;
  std::uint64_t wide_kept = 0;    ///< of the keys, and of the values, of a prompt as BF16
  std::uint64_t wide_weight = 0;  ///< the largest FP8 weight that BF16 inputs meet, as BF16
  std::uint64_t kept = 0;         ///< of the keys, and of the values, of one layer

  /// But for what is kept.
  std::uint64_t total() const {
    return workspace.total() + hidden + prompt + targets + nll + places + 2 * rope + 2 * ids +
           logits + own_tops + tops + 2 * wide_kept + wide_weight;
  }
};

/// slices: that each weight is cut into. widens: products of many rows take FP8 weights as BF16.
DecoderBytes decoder_bytes(const ModelConfig& config, const DecoderShape& shape, int slices,
                           bool widens);

/// Predicted memory of one rank that decodes, bytes of device memory.
struct DecoderMemory {
  std::uint64_t weights = 0;    ///< as the variant computes with them, embedding and head included
  std::uint64_t loading = 0;    ///< beside them while they are made, with no decoder there yet
  std::uint64_t cache = 0;      ///< keys and values
  std::uint64_t workspace = 0;  ///< all else of a decoder
  std::uint64_t runtime = 0;    ///< what CUDA, cuBLASLt and NCCL take for themselves

  std::uint64_t total() const {
    return weights + (loading > cache + workspace ? loading : cache + workspace) + runtime;
  }
};

/// recipe: none for BF16. slices: ranks, each with one of every weight. The model is in BF16.
DecoderMemory decoder_memory(const ModelConfig& config, const std::optional<Recipe>& recipe,
                             const DecoderShape& shape, int slices, const Device& device);

/// The largest capacity of `shape`, up to the model's max_position_embeddings, that fits in the
/// device's budget, prompts computed in chunks of shape.chunk; 0 where none does.
std::size_t longest_prompt(const ModelConfig& config, const std::optional<Recipe>& recipe,
                           const DecoderShape& shape, int slices, const Device& device);

}  // namespace fp8cal
