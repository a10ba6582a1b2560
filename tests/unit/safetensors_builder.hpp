#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fp8cal {

/// The bytes of a safetensors file with this header and data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) {
    bytes += static_cast<char>((std::uint64_t{header.size()} >> shift) & 0xFF);
  }
  return bytes + header + data;
}

/// Puts tensors one after another, as a writer does.
class SafetensorsBuilder {
 public:
  template <class T>
  SafetensorsBuilder& add(const std::string& name, const std::string& dtype,
                          const std::vector<std::uint64_t>& shape, const std::vector<T>& values) {
    const std::size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
    return *this;
  }

  std::string header() const { return header_.dump(); }
  const std::string& data() const { return data_; }
  std::string bytes() const { return safetensors_bytes(header(), data_); }

 private:
  nlohmann::json header_ = {{"__metadata__", {{"format", "pt"}}}};
  std::string data_;
};

}  // namespace fp8cal
