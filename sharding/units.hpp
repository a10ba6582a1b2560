#pragma once

#include <vector>

#include "sharding/plan.hpp"
#include "sharding/range.hpp"

namespace fp8cal {

/// A microbatch of one share: what goes through the model at once.
struct Unit {
  Range sequences;
  std::size_t position = 0;  ///< of its first sequence among all of this share
};

/// What one share does of a pass. Every rank of the job counts the same units, up to `most`,
/// although a share may have none left for the last ones: so ranks can agree on something between
/// two units without asking where the others are.
struct Units {
  std::vector<Unit> own;
  std::size_t most = 0;       ///< of the share that has most
  std::size_t sequences = 0;  ///< of all shares
};

/// The sequences `left`, shared by the plan's ranks, in passes of at most `units_a_pass` units
/// each; 0: in one. There is always one pass, if only an empty one.
std::vector<Units> passes_over(const Ranges& left, const Plan& plan, int share,
                               std::size_t units_a_pass = 0);

/// What all shares have done of `left` after `units` units of it.
Ranges done_after(std::size_t units, const Ranges& left, const Plan& plan);

}  // namespace fp8cal
