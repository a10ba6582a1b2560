#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "jobs/model_config.hpp"

namespace fp8cal {

/// How many parts each axis of the work is cut into. Rank = (stage * sequences + share) * tensor +
/// slice: the ranks that exchange most are neighbours.
struct Grid {
  int layers = 1;     ///< pipeline stages, each a run of layers
  int tensor = 1;     ///< slices of the output rows of every weight
  int sequences = 1;  ///< shares of the sequences

  int ranks() const { return layers * tensor * sequences; }
  /// As a partition.mode: "tensor:4", "layers:2+tensor:2", "single" for one rank.
  std::string to_string() const;
};

/// A partition.mode: axes (layers, tensor, sequences) joined by '+', each with ":DEGREE" or, one of
/// them at most, without: it takes the ranks that are left. Throws InputError.
Grid parse_grid(const std::string& mode, int ranks);

/// Parts that a matrix product's output rows must be cut into in multiples of: an FP8 tensor core
/// tile, and the row block of the weights digest.
inline constexpr std::size_t kRowBlock = 16;

/// Into how many equal slices the vocabulary is cut wherever log-softmax sums over it, whatever the
/// number of ranks: the largest power of two up to 16 that gives slices of whole row blocks.
std::size_t vocabulary_slices(std::size_t vocab_size);

/// The tensor-parallel degrees, up to 64, by which every weight of this model can be cut evenly.
std::vector<int> tensor_degrees(const ModelConfig& config);

/// The numbers of pipeline stages with equally many layers each.
std::vector<int> layer_degrees(const ModelConfig& config);

/// Throws InputError, listing the degrees that would work, where an axis cannot be cut evenly.
/// sequences: that ranks share.
void check_grid(const Grid& grid, const ModelConfig& config, std::size_t sequences);

}  // namespace fp8cal
