#pragma once

namespace fp8cal {

/// How far two results may be apart. Where one is above zero, arithmetic may have been another:
/// docs/audit.md says what must still be equal.
struct Tolerances {
  double scale = 0;  ///< relative, of scales and of amax of activations
  double ppl = 0;    ///< absolute, of each variant's perplexity

  bool exact() const { return scale == 0 && ppl == 0; }
};

}  // namespace fp8cal
