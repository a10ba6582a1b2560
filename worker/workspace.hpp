#pragma once

#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"
#include "sharding/workspace_bytes.hpp"

namespace fp8cal {

/// The activations of one lane of a microbatch, reused by every layer. Widths named "own" are of
/// this rank's slice; where there is one slice, own results are written in place of the gathered
/// ones.
class Workspace {
 public:
  Workspace(Backend& backend, const ModelConfig& config, const WorkspaceBytes& bytes);

  Matrix normed(std::size_t tokens) const { return view(normed_, tokens, config_.hidden_size); }
  /// A residual summand; where there are slices, it stays in pieces in gathered().
  Matrix delta(std::size_t tokens) const { return view(delta_, tokens, config_.hidden_size); }
  /// Gathered attention results or gathered inner activations, whichever is alive.
  Matrix wide(std::size_t tokens, std::size_t cols) const { return view(wide_, tokens, cols); }
  /// q, k and v, or gate and up, of this slice.
  Matrix own_inputs(std::size_t tokens, std::size_t cols) const {
    return view(own_inputs_, tokens, cols);
  }
  /// This slice of something that is gathered next.
  Matrix own_result(std::size_t tokens, std::size_t cols) const {
    return view(own_result_, tokens, cols);
  }
  void* gathered() const { return gathered_.data(); }
  /// What is quantized before it is used next; dtype: of FP8.
  Matrix quantized(std::size_t tokens, std::size_t cols, DType dtype) const {
    return Matrix::dense(quantized_.data(), dtype, tokens, cols);
  }
  float* token_scales() const { return token_scales_.as<float>(); }
  Matrix logits(std::size_t tokens, std::size_t cols) const { return view(logits_, tokens, cols); }
  /// What logits are compared with, where the work compares.
  Matrix reference_normed(std::size_t tokens) const {
    return view(reference_normed_, tokens, config_.hidden_size);
  }
  Matrix reference_logits(std::size_t tokens, std::size_t cols) const {
    return view(reference_logits_, tokens, cols);
  }
  ComparisonPartial* own_comparison() const { return own_comparison_.as<ComparisonPartial>(); }
  ComparisonPartial* comparison() const { return comparison_.as<ComparisonPartial>(); }
  float* own_partials() const { return own_partials_.as<float>(); }
  float* partials() const { return partials_.as<float>(); }

 private:
  static Matrix view(const Buffer& buffer, std::size_t tokens, std::size_t cols) {
    return Matrix::dense(buffer.data(), DType::bf16, tokens, cols);
  }

  ModelConfig config_;
  Buffer normed_, delta_, wide_, own_inputs_, own_result_, gathered_, quantized_, token_scales_;
  Buffer logits_, own_partials_, partials_;
  Buffer reference_normed_, reference_logits_, own_comparison_, comparison_;
};

}  // namespace fp8cal
