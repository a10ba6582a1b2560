#pragma once

#include <cstddef>

#include "sharding/control.hpp"
#include "sharding/range.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// Scores of windows lie one after another, `predictions` of each; kl and same_top may be empty.

/// Copies `part`, of `windows`, to where they belong in `all`, of `total` windows.
void place_scores(VariantScores& all, std::size_t total, const Ranges& windows,
                  const VariantScores& part, std::size_t predictions);

/// Those of `windows` out of `all`.
VariantScores scores_of(const VariantScores& all, const Ranges& windows, std::size_t predictions);

/// Places the scores that ranks have in `all` on rank 0. windows: those of this rank's `own`
/// scores, which may be empty. Collective.
void gather_scores(const Control& control, const Ranges& windows, const VariantScores& own,
                   VariantScores& all, std::size_t total, std::size_t predictions);

}  // namespace fp8cal
