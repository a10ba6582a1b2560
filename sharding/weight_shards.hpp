#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "jobs/model_config.hpp"
#include "kernels/matrix.hpp"
#include "sharding/range.hpp"

namespace fp8cal {

/// Rows of one tensor of the checkpoint that a rank holds: one contiguous byte range of its file.
struct WeightShard {
  std::string name;  ///< of the tensor in the checkpoint
  std::vector<std::uint64_t> shape;
  Range rows;                 ///< a vector counts as one row
  bool replicated = false;    ///< every tensor slice holds it whole (norms)
  DType dtype = DType::bf16;  ///< in device memory; e4m3 only where the checkpoint has it

  std::size_t cols() const { return shape.back(); }
  std::size_t total_rows() const { return shape.size() == 1 ? 1 : shape.front(); }
  std::size_t bytes() const { return rows.count * cols() * size_of(dtype); }
  bool is_matrix() const { return shape.size() == 2; }
};

/// "model.layers.<layer>.<rest>".
std::string layer_module(std::size_t layer, const std::string& rest);

/// Slice `index` of `parts` of a layer's tensors, in this order: input norm, q, k, v, o, post
/// attention norm, gate, up, down.
std::vector<WeightShard> layer_shards(const ModelConfig& config, std::size_t layer, int parts,
                                      int index);

/// The names of a layer's seven linear modules, relative to the layer: q, k, v, o, gate, up, down.
const std::vector<std::string>& linear_modules();

/// The module that scales of keys and values belong to, relative to the layer.
inline constexpr const char* kAttentionModule = "self_attn";

/// The same slice of the embedding table, by vocabulary rows.
WeightShard embedding_shard(const ModelConfig& config, int parts, int index);

/// The final norm.
WeightShard final_norm_shard(const ModelConfig& config);

/// The slice of the output projection; of the embedding table where the two are tied.
WeightShard head_shard(const ModelConfig& config, int parts, int index);

/// Total bytes of `shards`.
std::size_t bytes_of(const std::vector<WeightShard>& shards);

}  // namespace fp8cal
