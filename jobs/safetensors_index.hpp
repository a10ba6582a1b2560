#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace fp8cal {

inline constexpr std::size_t kMaxShards = 10'000;

/// What a model.safetensors.index.json says.
struct SafetensorsIndex {
  std::map<std::string, std::string> weight_map;  ///< tensor -> name of its file
  std::set<std::string> shards;                   ///< the distinct files
};

/// Reads an index and checks that each shard is a plain file name (the index cannot point outside
/// its own folder) and exists. Throws InputError naming the index and, where they are at fault, the
/// tensor or the shards.
SafetensorsIndex read_safetensors_index(const std::filesystem::path& path);

}  // namespace fp8cal
