#pragma once

namespace fp8cal {

/// Calls of a backend that Backend::record keeps. Must not outlive it or their operands.
class Recording {
 public:
  virtual ~Recording() = default;

  /// Makes the calls once more, in order with the backend's others; on cuda as one graph.
  virtual void replay() = 0;
};

}  // namespace fp8cal
