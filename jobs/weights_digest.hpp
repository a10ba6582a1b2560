#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jobs/sha256.hpp"

namespace fp8cal {

/// Rows of a tensor that one leaf of the weights digest covers. Shards begin at multiples of it, so
/// that any partition computes the same leaves.
inline constexpr std::size_t kDigestRows = 16;

/// The leaves of one tensor: leaf i is the SHA-256 of the BF16 bytes of rows [16 i, 16 i + 16).
struct TensorLeaves {
  std::vector<std::uint64_t> shape;
  std::map<std::uint64_t, Sha256Digest> leaves;
};

/// By tensor name.
using WeightLeaves = std::map<std::string, TensorLeaves>;

/// SHA-256, in hex, over the tensors in name order: for each, "name[shape]\n" with the shape's
/// sizes joined by commas, then its leaves in order. Throws Error where a leaf is missing.
std::string weights_digest(const WeightLeaves& tensors);

/// Bytes for another rank, and back: adds to `into`.
std::string pack_leaves(const WeightLeaves& tensors);
void unpack_leaves(const std::string& bytes, WeightLeaves& into);

}  // namespace fp8cal
