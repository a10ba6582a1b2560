#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/plan.hpp"
#include "worker/layer_weights.hpp"
#include "worker/observer.hpp"
#include "worker/rope_on_device.hpp"
#include "worker/workspace.hpp"

namespace fp8cal {

/// What the next tokens are predicted from, in device memory.
struct Predictions {
  Matrix x;                      ///< [tokens, hidden] bf16, after the last layer
  Matrix reference;              ///< the same of the pass to compare with; null data: none
  ConstMatrix final_norm;        ///< [1, hidden] bf16
  ConstMatrix head;              ///< [this slice's rows of the vocabulary, hidden] bf16
  const std::uint32_t* targets;  ///< [tokens]
};

/// Where the scores of tokens go, [tokens] in device memory.
struct TokenScores {
  float* nll;              ///< negative log-likelihood of the target; 0 for kNoTarget
  float* kl;               ///< Backend::combine_comparison of reference and x; not for a null one
  std::uint8_t* same_top;  ///< the same
};

/// The forward pass of a Llama model in one tensor-parallel slice. Every linear layer is cut along
/// its output rows, so each result element is computed whole by one rank and then gathered. Where
/// there are slices, a microbatch is cut into lanes of whole sequences: while the activations of
/// one lane are gathered, the other computes.
class Llama {
 public:
  /// slices: the ranks of the same stage and share. work: with its microbatch.
  Llama(Backend& backend, Collectives& slices, const ModelConfig& config, const Workload& work);

  /// x[t] = the embedding of ids[t]. ids [tokens] in device memory; table: this slice's rows of the
  /// vocabulary; x [tokens, hidden] bf16.
  void embed(const std::uint32_t* ids, ConstMatrix table, Matrix x);

  /// Runs x [tokens, hidden] bf16, whole sequences of `sequence_length` rows, through the layers in
  /// place. observer may be null.
  void run(std::span<const Layer* const> layers, Matrix x, std::size_t sequence_length,
           Observer* observer);

  /// How the tokens after x are predicted. x as for run; reference: null, or what x is in BF16.
  void score(const Predictions& predictions, std::size_t sequence_length, const TokenScores& into);

 private:
  struct Lane {
    int index;
    Workspace workspace;
    Matrix x{};                 // its rows of the microbatch
    std::size_t first_row = 0;  // of the microbatch
    ConstMatrix pending{};      // a residual summand that the next norm adds; null: none
    bool gathers = false;       // a gather is under way
    Matrix whole{};             // what its pieces are put together to; null: they stay as they are
  };
  /// What one step of a layer is for.
  struct Step {
    const Layer& layer;
    std::size_t sequence_length;
    Observer* observer;
  };

  std::span<Lane> split(Matrix x, std::size_t sequence_length);

  // The steps of a layer. Each but the first begins where the gather of the one before ends.
  void attend(const Step& step, Lane& lane);   // norm, q, k and v, attention
  void project(const Step& step, Lane& lane);  // o
  void widen(const Step& step, Lane& lane);    // norm, gate and up, SiLU
  void narrow(const Step& step, Lane& lane);   // down

  void observe(const Step& step, const Lane& lane, Site site, ConstMatrix x);
  /// x [tokens, own channels]: what is left of keys or values that were kept in FP8.
  void round_kv(const Lane& lane, Matrix x, DType dtype, Scales scales);
  void linear(const Linear& linear, ConstMatrix x, Matrix out, Lane& lane);
  void score_slices(Lane& lane, const Predictions& predictions);
  void compare(Lane& lane, const TokenScores& into);

  /// Multiplies x; the next norm adds the result to the residual, from the pieces as gathered.
  void add_later(Lane& lane, const Linear& linear, ConstMatrix x);
  /// Where this slice of `whole` is computed.
  Matrix own_part(const Lane& lane, Matrix whole) const;
  void begin_gather(Lane& lane, Matrix own, Matrix whole);
  void end_gather(Lane& lane);

  Backend& backend_;
  Collectives& slices_;
  ModelConfig config_;
  std::vector<Lane> lanes_;
  RopeOnDevice rope_;
};

}  // namespace fp8cal
