#pragma once

#include <cstddef>
#include <string>

namespace fp8cal {

/// Hears how far the work has come, as seen from this rank.
class ProgressListener {
 public:
  virtual ~ProgressListener() = default;

  /// A stage begins: `units` of it will be done ("sequences", "layers"), of `tokens_per_unit`
  /// tokens each (0 where tokens do not apply).
  virtual void begin(const std::string& stage, const std::string& unit, std::size_t units,
                     std::size_t tokens_per_unit) = 0;
  virtual void advance(std::size_t units) = 0;
  virtual void end() = 0;
};

}  // namespace fp8cal
