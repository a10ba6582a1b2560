#pragma once

#include <cstddef>

#include "jobs/result.hpp"

namespace fp8cal {

/// How many tokens in a row must be equal to be the same text. Measured (docs/protocol.md): texts
/// of different origin share no run of 20.
inline constexpr std::size_t kOverlapGram = 32;
/// How many different ones there must be among them. Fewer are a token repeated, dashes, a table or
/// a phrase in a loop, which two texts may have in common; of 32-grams of prose 1 in 2,400 has
/// fewer.
inline constexpr std::size_t kDistinctTokens = 12;
/// One in so many evaluation tokens may be in common by chance: a licence line, a quotation. Were
/// all of these predicted perfectly, a perplexity of 6 would fall by 0.002.
inline constexpr std::size_t kTokensPerChance = 5000;

/// What of the evaluation text also stands in the calibration text.
struct Overlap {
  struct Place {
    std::size_t window = 0;    ///< row of TokenWindows
    std::size_t position = 0;  ///< token of that row
  };

  std::size_t grams = 0;              ///< positions of the evaluation text at which one begins
  std::size_t tokens = 0;             ///< of the evaluation text, in one or more of them
  std::size_t evaluation_tokens = 0;  ///< in all
  Place evaluation;                   ///< where the first begins; meaningless where there is none
  Place calibration;                  ///< and where it stands there, for the first time

  /// How many tokens may be in common by chance.
  std::size_t allowed() const;
  bool beyond_chance() const { return tokens > allowed(); }
};

/// The n-grams (n = kOverlapGram, of at least kDistinctTokens different tokens) of the evaluation
/// windows that also stand in the calibration windows: the sequences that were drawn against the
/// windows that are evaluated. That is the text that leaks where it leaks, and it is in the result,
/// so whoever has the result finds the same.
///
/// Evaluation windows follow one another in their text, so n-grams go on from one to the next.
/// Calibration sequences were drawn at random: neighbours are none, and n-grams end with a
/// sequence; sequences shorter than n tokens have none.
///
/// Exact: candidates, found by a rolling hash, are compared token by token. Linear in time but for
/// sorting the candidates, and in memory: some bytes an evaluation token, 16 a candidate.
Overlap find_overlap(const TokenWindows& calibration, const TokenWindows& evaluation);

}  // namespace fp8cal
