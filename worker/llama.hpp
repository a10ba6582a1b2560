#pragma once

#include <cstdint>
#include <span>

#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "worker/layer_weights.hpp"
#include "worker/observer.hpp"
#include "worker/workspace.hpp"

namespace fp8cal {

/// The forward pass of a Llama model in one tensor-parallel slice. Every linear layer is cut along
/// its output rows, so each result element is computed whole by one rank and then gathered.
class Llama {
 public:
  /// slices: the ranks of the same stage and share. max_tokens: of a microbatch. max_length: of a
  /// sequence.
  Llama(Backend& backend, Collectives& slices, const ModelConfig& config, std::size_t max_tokens,
        std::size_t max_length);

  /// x[t] = the embedding of ids[t]. ids [tokens] in device memory; table: this slice's rows of the
  /// vocabulary; x [tokens, hidden] bf16.
  void embed(const std::uint32_t* ids, ConstMatrix table, Matrix x);

  /// Runs x [tokens, hidden] bf16, whole sequences of `sequence_length` rows, through the layers in
  /// place. observer may be null.
  void run(std::span<const Layer* const> layers, Matrix x, std::size_t sequence_length,
           Observer* observer);

  /// nll [tokens] f32 = negative log-likelihood of targets[t] after x[t]; 0 for kNoTarget.
  /// final_norm [1, hidden], head: this slice's rows of the vocabulary. x is overwritten.
  void negative_log_likelihood(Matrix x, ConstMatrix final_norm, ConstMatrix head,
                               const std::uint32_t* targets, float* nll);

 private:
  void attention_block(const Layer& layer, Matrix x, std::size_t sequence_length,
                       Observer* observer);
  void feed_forward_block(const Layer& layer, Matrix x, Observer* observer);
  void linear(const Linear& linear, ConstMatrix x, Matrix out);
  Matrix own_part(Matrix whole) const;
  void gather(Matrix own, Matrix whole);

  Backend& backend_;
  Collectives& slices_;
  ModelConfig config_;
  Workspace workspace_;
  Buffer cosine_, sine_;  // [max_length, head_dim / 2] bf16
  ConstMatrix pending_;   // a residual summand that the next norm adds; null: none
};

}  // namespace fp8cal
