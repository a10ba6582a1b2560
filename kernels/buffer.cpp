#include "kernels/buffer.hpp"

#include "kernels/backend.hpp"

namespace fp8cal {

Buffer::~Buffer() {
  if (owner_ != nullptr) owner_->release(data_, bytes_);
}

}  // namespace fp8cal
