#include <stdexcept>

#include "kernels/cuda/cuda_backend.hpp"

namespace fp8cal {

int cuda_device_count() { return 0; }

std::unique_ptr<Backend> make_cuda_backend(int, Fp8Products) {
  throw std::invalid_argument("the cuda backend is not compiled in; use runtime.backend = cpu");
}

}  // namespace fp8cal
