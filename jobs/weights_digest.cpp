#include "jobs/weights_digest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

template <class T>
void put(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T take(const std::string& bytes, std::size_t& at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  at += sizeof value;
  return value;
}

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
    put(bytes, static_cast<std::uint64_t>(name.size()));
    bytes += name;
    put(bytes, static_cast<std::uint64_t>(tensor.shape.size()));
    for (std::uint64_t size : tensor.shape) put(bytes, size);
    put(bytes, static_cast<std::uint64_t>(tensor.leaves.size()));
    for (const auto& [index, digest] : tensor.leaves) {
      put(bytes, index);
      put(bytes, digest);
    }
  }
  return bytes;
}

void unpack_leaves(const std::string& bytes, WeightLeaves& into) {
  for (std::size_t at = 0; at < bytes.size();) {
    const auto name_size = take<std::uint64_t>(bytes, at);
    TensorLeaves& tensor = into[bytes.substr(at, name_size)];
    at += name_size;
    tensor.shape.resize(take<std::uint64_t>(bytes, at));
    for (std::uint64_t& size : tensor.shape) size = take<std::uint64_t>(bytes, at);
    for (auto left = take<std::uint64_t>(bytes, at); left > 0; --left) {
      const auto index = take<std::uint64_t>(bytes, at);
      tensor.leaves[index] = take<Sha256Digest>(bytes, at);
    }
  }
}

}  // namespace fp8cal
