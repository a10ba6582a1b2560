#include "worker/kv_caches.hpp"

namespace fp8cal {

KvCaches::KvCaches(Backend& backend, std::size_t layers, const DecoderShape& shape,
                   std::uint64_t bytes, std::size_t kv_cols)
    : shape_(shape), kv_cols_(kv_cols) {
  for (std::size_t i = 0; i < layers; ++i) {
    for (std::vector<Buffer>* kept : {&keys_, &values_}) {
      kept->push_back(backend.allocate(bytes));
      backend.fill_zero(kept->back().data(), bytes);
    }
  }
}

KvCache KvCaches::of(std::size_t i, const KvScales& scales) const {
  const auto view = [&](const Buffer& buffer) {
    return Matrix::dense(buffer.data(), shape_.kv, shape_.sequences * shape_.capacity, kv_cols_);
  };
  const bool scaled = shape_.kv != DType::bf16;
  return {.keys = view(keys_[i]),
          .values = view(values_[i]),
          .capacity = shape_.capacity,
          .key_scale = scaled ? scales.key : Scales{},
          .value_scale = scaled ? scales.value : Scales{}};
}

}  // namespace fp8cal
