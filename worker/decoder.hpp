#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/decoder_memory.hpp"
#include "worker/kv_caches.hpp"
#include "worker/layer_weights.hpp"
#include "worker/rope_on_device.hpp"
#include "worker/workspace.hpp"

namespace fp8cal {

/// A whole model in the slice of this rank, borrowed.
struct DecoderWeights {
  std::span<const Layer> layers;  ///< with scales of keys and values where these are kept in FP8
  ConstMatrix embedding;          ///< [this slice's rows of the vocabulary, hidden] bf16
  ConstMatrix final_norm;         ///< [1, hidden] bf16
  ConstMatrix head;               ///< as the embedding
};

/// A Llama model in one tensor-parallel slice that keeps keys and values: it computes a prompt, or
/// one token of each sequence of a batch. On the cpu backend both have the bits of Llama, whose
/// slices and gathers these are. Collective over the slices.
class Decoder {
 public:
  /// Takes the memory that decoder_bytes says. slices: the ranks that share every weight.
  Decoder(Backend& backend, Collectives& slices, const ModelConfig& config,
          const DecoderWeights& weights, const DecoderShape& shape);

  /// Computes a prompt of 1 to `capacity` tokens from position 0, shape.chunk tokens at a time; for
  /// one sequence. Then ids() is the most likely next token and positions() the prompt's length.
  /// prompt: on the host, unchanged until the backend is waited for. Others throw
  /// std::invalid_argument.
  void prefill(std::span<const std::uint32_t> prompt);

  /// Computes the token ids()[s] of each sequence s at positions()[s], which must be below the
  /// capacity; then ids() are the most likely next ones, and positions() one further. Device calls
  /// only, so Backend::record can keep it.
  void step();

  /// What each sequence goes on with, and where; waits for the backend. ids [sequences].
  void set_tokens(std::span<const std::uint32_t> ids);
  void set_positions(std::uint32_t position);

  /// The negative log-likelihood of each of `tokens` but the first, of one sequence from position
  /// 0, as Llama::score. Computes `at_once` tokens at a time: 1, as step does, or up to
  /// shape.chunk, as prefill does.
  std::vector<float> score(std::span<const std::uint32_t> tokens, std::size_t at_once);

  const std::uint32_t* ids() const { return ids_.as<std::uint32_t>(); }  ///< on the device
  const std::uint32_t* positions() const { return positions_.as<std::uint32_t>(); }

 private:
  /// What goes through the layers together: the next token of each sequence, or the tokens of one
  /// before position `end`.
  struct Rows {
    const std::uint32_t* ids;        // [count] on the device
    const std::uint32_t* positions;  // [count] on the device
    std::size_t count;
    std::size_t end;  // 0: one token a sequence
  };

  Rows prompt_rows(std::size_t first, std::size_t count) const;
  /// Leaves the hidden states in x, without the last summand, pending_.
  Matrix run(const Rows& rows);
  void attend(std::size_t layer, const Rows& rows, Matrix x);
  void feed_forward(const Layer& layer, Matrix x);
  /// Keys or values of the tokens before position `end`, in BF16.
  ConstMatrix whole(Matrix kept, Scales scales, std::size_t end, const Buffer& wide);
  void linear(const Linear& linear, ConstMatrix x, Matrix out);
  void multiply(ConstMatrix x, ConstMatrix weight, Matrix out);
  /// normed [sequences, hidden]: after the final norm.
  void choose_tokens(ConstMatrix normed);
  void score_rows(Matrix x, std::uint32_t* targets, float* nll);

  /// Where this slice of `whole` is computed, and how its pieces come to be there.
  Matrix own_part(Matrix whole) const;
  void gather(Matrix own, Matrix whole);
  /// Multiplies x; the next norm adds the result to the residual, from the pieces as gathered.
  void add_later(const Linear& linear, ConstMatrix x);

  Backend& backend_;
  Collectives& slices_;
  ModelConfig config_;
  DecoderWeights weights_;
  DecoderShape shape_;
  std::size_t parts_;  // slices
  DecoderBytes bytes_;
  Workspace workspace_;
  KvCaches caches_;
  RopeOnDevice rope_;
  Buffer hidden_, prompt_, targets_, nll_, places_, ids_, positions_;
  Buffer logits_, own_tops_, tops_, wide_keys_, wide_values_, wide_weight_;
  ConstMatrix pending_{};  // a residual summand that the next norm adds; null: none
};

}  // namespace fp8cal
