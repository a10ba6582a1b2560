#include "kernels/backend.hpp"

#include <stdexcept>

#include "kernels/cpu/cpu_backend.hpp"

namespace fp8cal {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.name == "cpu" || options.name == "auto") return make_cpu_backend(options.threads);
  if (options.name == "cuda") {
    throw std::invalid_argument("the cuda backend is not compiled in; use runtime.backend = cpu");
  }
  throw std::invalid_argument("unknown backend '" + options.name + "'; expected auto, cpu or cuda");
}

}  // namespace fp8cal
