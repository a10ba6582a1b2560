#pragma once

#include <array>

#include "kernels/timed_backend.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// Passes every call on to other collectives and times those that move device memory, as calls of
/// a TimedBackend on the same device: "all_gather" by the bytes received, "all_reduce". A gather
/// begins where it is to end, so that its marks enclose nothing else. Borrows both.
class TimedCollectives final : public Collectives {
 public:
  TimedCollectives(Collectives& inner, TimedBackend& timer) : inner_(inner), timer_(timer) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  void begin_gather(const void* sent, void* received, std::size_t bytes, int lane) override;
  void end_gather(int lane) override;
  void all_max(std::uint32_t* values, std::size_t count) override;
  void all_sum(std::uint64_t* values, std::size_t count) override;
  void all_sum(std::uint32_t* values, std::size_t count) override;
  void send(const void* data, std::size_t bytes, int to) override { inner_.send(data, bytes, to); }
  void receive(void* data, std::size_t bytes, int from) override {
    inner_.receive(data, bytes, from);
  }
  void wait() override { inner_.wait(); }

 private:
  struct Gather {
    const void* sent = nullptr;
    void* received = nullptr;
    std::size_t bytes = 0;
  };

  Collectives& inner_;
  TimedBackend& timer_;
  std::array<Gather, kGatherLanes> gathers_;  // begun and not yet ended
};

}  // namespace fp8cal
