#include "kernels/backend.hpp"

#include <stdexcept>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cuda/cuda_backend.hpp"

namespace fp8cal {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const bool automatic = options.name == "auto";
  if (options.name == "cuda" || (automatic && cuda_device_count() > 0)) {
    return make_cuda_backend(options.device);
  }
  if (options.name == "cpu" || automatic) return make_cpu_backend(options.threads);
  throw std::invalid_argument("unknown backend '" + options.name + "'; expected auto, cpu or cuda");
}

}  // namespace fp8cal
