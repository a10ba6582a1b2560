#pragma once

#include <cstddef>
#include <cstdint>

namespace fp8cal {

/// Gathers that may be under way at a time.
inline constexpr int kGatherLanes = 2;

/// The data plane: device memory between the ranks of one group. Only gathers, maxima and integer
/// sums, and messages: no operation here depends on the order in which ranks take part. Calls are
/// ordered with those of the rank's backend, as on one stream: after its earlier ones and before
/// its later ones. On GPUs they may return before the work is done.
class Collectives {
 public:
  virtual ~Collectives() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// received = every rank's `bytes` bytes, in rank order. received [size * bytes].
  void all_gather(const void* sent, void* received, std::size_t bytes) {
    begin_gather(sent, received, bytes, 0);
    end_gather(0);
  }
  /// An all_gather beside which the backend may compute: until end_gather, its later calls must not
  /// write `sent` or touch `received`. lane: below kGatherLanes, one gather at a time in each.
  /// Every rank begins the same gathers in the same order.
  virtual void begin_gather(const void* sent, void* received, std::size_t bytes, int lane) = 0;
  virtual void end_gather(int lane) = 0;
  /// In place: the largest value on any rank, element by element.
  virtual void all_max(std::uint32_t* values, std::size_t count) = 0;
  /// In place: sums over the ranks, element by element.
  virtual void all_sum(std::uint64_t* values, std::size_t count) = 0;
  virtual void all_sum(std::uint32_t* values, std::size_t count) = 0;

  virtual void send(const void* data, std::size_t bytes, int to) = 0;
  virtual void receive(void* data, std::size_t bytes, int from) = 0;

  /// Returns when all earlier work of this rank is done. Throws Error where another rank is gone or
  /// does not answer, which a download alone would wait for in vain.
  virtual void wait() = 0;
};

}  // namespace fp8cal
