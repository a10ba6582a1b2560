#pragma once

#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"

namespace fp8cal {

/// A RopeTable in device memory.
class RopeOnDevice {
 public:
  /// Waits for the backend.
  RopeOnDevice(Backend& backend, const ModelConfig& config, std::size_t positions);

  /// Of the first `positions`, [positions, head_dim / 2] bf16.
  Matrix cosine(std::size_t positions) const { return view(cosine_, positions); }
  Matrix sine(std::size_t positions) const { return view(sine_, positions); }

 private:
  Matrix view(const Buffer& table, std::size_t positions) const {
    return Matrix::dense(table.data(), DType::bf16, positions, half_);
  }

  std::size_t half_;
  Buffer cosine_, sine_;
};

}  // namespace fp8cal
