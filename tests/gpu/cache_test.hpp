#pragma once

#include <string>
#include <vector>

#include "product_test.hpp"

namespace fp8cal {

struct CacheCase {
  DType dtype;
  std::size_t head_dim, kv_heads, group, sequences, capacity;
  bool per_head;

  std::size_t q_cols() const { return kv_heads * group * head_dim; }
  std::size_t kv_cols() const { return kv_heads * head_dim; }
  std::string to_string() const {
    const char* name = dtype == DType::bf16 ? "bf16" : dtype == DType::e4m3 ? "e4m3" : "e5m2";
    return std::string(name) + ", " + std::to_string(sequences) + " x " + std::to_string(capacity) +
           " x " + std::to_string(kv_heads) + " x " + std::to_string(head_dim) + ", group " +
           std::to_string(group);
  }
};

/// A cache on the host, and a copy on the GPU.
class TwoCaches {
 public:
  TwoCaches(Backend& cuda, Backend& cpu, const CacheCase& c)
      : keys_(make(cpu, c, 11)),
        values_(make(cpu, c, 12)),
        scales_(c.per_head ? spread_scales(c.kv_heads, 0.01f) : std::vector<float>{0.02f}),
        device_keys_(cuda, keys_),
        device_values_(cuda, values_),
        device_scales_(cuda, scales_),
        capacity_(c.capacity) {}

  KvCache host() { return with(keys_, values_, {scales_.data(), scales_.size()}); }
  KvCache device() { return with(device_keys_, device_values_, device_scales_); }
  TestMatrix& host_keys() { return keys_; }
  TestMatrix& host_values() { return values_; }
  TestMatrix keys_on_device() const { return device_keys_.values(); }
  TestMatrix values_on_device() const { return device_values_.values(); }

 private:
  static TestMatrix make(Backend& cpu, const CacheCase& c, unsigned seed) {
    const std::size_t rows = c.sequences * c.capacity;
    if (c.dtype == DType::bf16) return tiled_bf16(rows, c.kv_cols(), seed);
    return tiled_fp8(cpu, c.dtype, rows, c.kv_cols(), seed);
  }
  KvCache with(Matrix keys, Matrix values, Scales scales) const {
    if (keys.dtype == DType::bf16) scales = {};
    return {keys, values, capacity_, scales, scales};
  }

  TestMatrix keys_, values_;
  std::vector<float> scales_;
  DeviceCopy device_keys_, device_values_;
  ScalesOnDevice device_scales_;
  std::size_t capacity_;
};

}  // namespace fp8cal
