#include "jobs/safetensors_index.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 100'000'000;
constexpr std::size_t kMaxShardsNamed = 8;  // in a message

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

void check_shards_exist(const std::set<std::string>& shards, const std::filesystem::path& index) {
  std::vector<std::string> missing;
  std::size_t missing_count = 0;
  for (const std::string& shard : shards) {
    std::error_code unreadable;
    if (std::filesystem::exists(index.parent_path() / shard, unreadable)) continue;
    if (++missing_count <= kMaxShardsNamed) missing.push_back(in_quotes(shard));
  }
  if (missing_count == 0) return;
  std::string found = fmt::format("no {}", fmt::join(missing, ", "));
  if (missing_count > missing.size()) {
    found += fmt::format(" and {} more", missing_count - missing.size());
  }
  throw InputError(index.string(), "shards missing", fmt::format("all {}", shards.size()), found);
}

}  // namespace

SafetensorsIndex read_safetensors_index(const std::filesystem::path& path) {
  const std::string where = path.string();
  const nlohmann::json document = read_json_file(path, kMaxIndexBytes);
  SafetensorsIndex index;
  for (const auto& [tensor, shard] : require_object(document, "weight_map", where).items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      throw InputError(where, "shard of tensor " + in_quotes(tensor),
                       "the name of a file in the same folder", shown(shard));
    }
    index.weight_map.emplace(tensor, shard.get_ref<const std::string&>());
    index.shards.insert(shard.get_ref<const std::string&>());
  }
  if (index.shards.empty() || index.shards.size() > kMaxShards) {
    throw InputError(where, "number of shards", fmt::format("1 to {}", kMaxShards),
                     std::to_string(index.shards.size()));
  }
  check_shards_exist(index.shards, path);
  return index;
}

}  // namespace fp8cal
