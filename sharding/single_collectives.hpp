#pragma once

#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// Collectives of a group of one rank, on any backend: copies on the device, no messages.
class SingleCollectives : public Collectives {
 public:
  /// The backend must outlive this.
  explicit SingleCollectives(Backend& backend) : backend_(backend) {}

  int rank() const override { return 0; }
  int size() const override { return 1; }
  /// Does nothing where both are the same.
  void begin_gather(const void* sent, void* received, std::size_t bytes, int lane) override;
  void end_gather(int) override {}
  void all_max(std::uint32_t*, std::size_t) override {}
  void all_sum(std::uint64_t*, std::size_t) override {}
  void all_sum(std::uint32_t*, std::size_t) override {}
  /// Both throw Error: there is no other rank.
  void send(const void* data, std::size_t bytes, int to) override;
  void receive(void* data, std::size_t bytes, int from) override;
  void wait() override;

 private:
  Backend& backend_;
};

}  // namespace fp8cal
