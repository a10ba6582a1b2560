#pragma once

#include <cstddef>
#include <cstdint>

namespace fp8cal {

/// The data plane: device memory between the ranks of one group. Only gathers, maxima and integer
/// sums, and messages: no operation here depends on the order in which ranks take part.
class Collectives {
 public:
  virtual ~Collectives() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// received = every rank's `bytes` bytes, in rank order. received [size * bytes].
  virtual void all_gather(const void* sent, void* received, std::size_t bytes) = 0;
  /// In place: the largest value on any rank, element by element.
  virtual void all_max(std::uint32_t* values, std::size_t count) = 0;
  /// In place: sums over the ranks, element by element.
  virtual void all_sum(std::uint64_t* values, std::size_t count) = 0;
  virtual void all_sum(std::uint32_t* values, std::size_t count) = 0;

  virtual void send(const void* data, std::size_t bytes, int to) = 0;
  virtual void receive(void* data, std::size_t bytes, int from) = 0;
};

}  // namespace fp8cal
