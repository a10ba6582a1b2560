#include "jobs/checkpoint_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

namespace fp8cal {
namespace {

std::uint64_t element_bytes(std::string_view dtype) {
  if (dtype == "F8_E4M3") return 1;
  if (dtype == "BF16") return 2;
  if (dtype == "F32") return 4;
  throw std::invalid_argument(fmt::format("tensor layout: unknown dtype {}", dtype));
}

std::uint64_t bytes_of(const std::vector<TensorLayout>& tensors) {
  std::uint64_t bytes = 0;
  for (const TensorLayout& tensor : tensors) bytes += tensor.bytes;
  return bytes;
}

}  // namespace

TensorLayout tensor_layout(const std::string& name, const std::string& dtype,
                           const std::vector<std::uint64_t>& shape) {
  std::uint64_t bytes = element_bytes(dtype);
  for (const std::uint64_t size : shape) bytes *= size;
  return {name, dtype, shape, bytes};
}

std::vector<CheckpointFile> lay_out_checkpoint(const std::vector<std::vector<TensorLayout>>& groups,
                                               std::uint64_t bytes_per_file) {
  std::vector<CheckpointFile> files;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const bool fits =
        !files.empty() && bytes_of(files.back().tensors) + bytes_of(groups[g]) <= bytes_per_file;
    if (!fits) files.push_back({.name = {}, .tensors = {}, .first_group = g, .groups = 0});
    CheckpointFile& file = files.back();
    file.tensors.insert(file.tensors.end(), groups[g].begin(), groups[g].end());
    ++file.groups;
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    files[i].name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size());
    std::stable_sort(files[i].tensors.begin(), files[i].tensors.end(),
                     [](const TensorLayout& a, const TensorLayout& b) {
                       return element_bytes(a.dtype) > element_bytes(b.dtype);
                     });
  }
  return files;
}

std::string index_text(const std::vector<CheckpointFile>& files) {
  nlohmann::json index;
  std::uint64_t bytes = 0;
  for (const CheckpointFile& file : files) {
    for (const TensorLayout& tensor : file.tensors) index["weight_map"][tensor.name] = file.name;
    bytes += bytes_of(file.tensors);
  }
  index["metadata"]["total_size"] = bytes;
  return index.dump(1) + "\n";
}

bool is_checkpoint_file_name(const std::string& name) {
  if (name == "model.safetensors") return true;
  std::string form = name;
  for (char& c : form) {
    if (c >= '0' && c <= '9') c = 'N';
  }
  return form == "model-NNNNN-of-NNNNN.safetensors";
}

}  // namespace fp8cal
