#include "jobs/safetensors_writer.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace fp8cal {

std::string safetensors_prefix(const std::vector<TensorLayout>& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t at = 0;
  for (const TensorLayout& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {at, at + tensor.bytes}}};
    at += tensor.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string prefix;
  for (std::size_t i = 0; i < 8; ++i) prefix += static_cast<char>(text.size() >> (8 * i) & 0xFF);
  return prefix + text;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     const std::vector<TensorLayout>& tensors)
    : file_(path) {
  const std::string prefix = safetensors_prefix(tensors);
  file_.write_at(0, std::as_bytes(std::span(prefix)));
  std::uint64_t at = prefix.size();
  for (const TensorLayout& tensor : tensors) {
    places_[tensor.name] = {at, tensor.bytes};
    at += tensor.bytes;
  }
}

void SafetensorsWriter::write(const std::string& tensor, std::uint64_t offset,
                              std::span<const std::byte> bytes) {
  const Place& place = places_.at(tensor);
  if (offset > place.bytes || bytes.size() > place.bytes - offset) {
    throw std::out_of_range(fmt::format("{}: bytes [{}, {}) of {}", tensor, offset,
                                        offset + bytes.size(), place.bytes));
  }
  file_.write_at(place.begin + offset, bytes);
}

}  // namespace fp8cal
