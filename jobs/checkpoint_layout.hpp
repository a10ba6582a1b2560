#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/safetensors_writer.hpp"

namespace fp8cal {

inline constexpr const char* kIndexName = "model.safetensors.index.json";

/// The layout of a tensor of whole bytes. Throws std::invalid_argument where `dtype` is unknown.
TensorLayout tensor_layout(const std::string& name, const std::string& dtype,
                           const std::vector<std::uint64_t>& shape);

/// One safetensors file of a checkpoint that is going to be written.
struct CheckpointFile {
  std::string name;                   ///< "model-00002-of-00006.safetensors"
  std::vector<TensorLayout> tensors;  ///< in the order of their data
  std::size_t first_group = 0;        ///< which of the groups it holds
  std::size_t groups = 0;
};

/// Puts groups of tensors, each undivided, into files, in order: as many in a file as do not exceed
/// `bytes_per_file`, and at least one. Within a file the tensors of the widest elements come first,
/// so that each lies at a multiple of its element's size, else in the order given.
std::vector<CheckpointFile> lay_out_checkpoint(const std::vector<std::vector<TensorLayout>>& groups,
                                               std::uint64_t bytes_per_file);

/// What the checkpoint's kIndexName holds.
std::string index_text(const std::vector<CheckpointFile>& files);

/// Whether a file of this name could be one of some checkpoint's files of tensors: "model", perhaps
/// "-NNNNN-of-NNNNN", ".safetensors".
bool is_checkpoint_file_name(const std::string& name);

}  // namespace fp8cal
