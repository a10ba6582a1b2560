#include "jobs/weights_digest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jobs/error.hpp"
#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

std::uint64_t leaf_count(const std::vector<std::uint64_t>& shape) {
  const std::uint64_t rows = shape.size() == 1 ? 1 : shape.front();
  return (rows + kDigestRows - 1) / kDigestRows;
}

}  // namespace

std::string weights_digest(const WeightLeaves& tensors) {
  Sha256 root;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.leaves.size() != leaf_count(tensor.shape)) {
      throw Error(ExitCode::failed,
                  fmt::format("{}: weights digest: expected {} row blocks, found {}", name,
                              leaf_count(tensor.shape), tensor.leaves.size()));
    }
    const std::string head = fmt::format("{}[{}]\n", name, fmt::join(tensor.shape, ","));
    root.update(head.data(), head.size());
    for (const auto& [index, digest] : tensor.leaves) root.update(digest.data(), digest.size());
  }
  return to_hex(root.finish());
}

std::string pack_leaves(const WeightLeaves& tensors) {
  std::string bytes;
  for (const auto& [name, tensor] : tensors) {
    pack(bytes, name);
    pack(bytes, tensor.shape);
    pack(bytes, static_cast<std::uint64_t>(tensor.leaves.size()));
    for (const auto& [index, digest] : tensor.leaves) {
      pack(bytes, index);
      pack(bytes, digest);
    }
  }
  return bytes;
}

void unpack_leaves(const std::string& bytes, WeightLeaves& into) {
  for (Unpacker from(bytes); !from.done();) {
    std::string name;
    from.take(name);
    TensorLeaves& tensor = into[name];
    from.take(tensor.shape);
    std::uint64_t leaves = 0;
    for (from.take(leaves); leaves > 0; --leaves) {
      std::uint64_t index = 0;
      from.take(index);
      from.take(tensor.leaves[index]);
    }
  }
}

}  // namespace fp8cal
