#include "worker/rope_on_device.hpp"

#include "worker/rope.hpp"

namespace fp8cal {

RopeOnDevice::RopeOnDevice(Backend& backend, const ModelConfig& config, std::size_t positions)
    : half_(config.head_dim / 2) {
  const RopeTable table = make_rope_table(config, positions);
  const std::size_t bytes = table.cosine.size() * sizeof(std::uint16_t);
  cosine_ = backend.allocate(bytes);
  sine_ = backend.allocate(bytes);
  backend.upload(cosine_.data(), table.cosine.data(), bytes);
  backend.upload(sine_.data(), table.sine.data(), bytes);
  backend.synchronize();  // the host table ends here
}

}  // namespace fp8cal
