#include "jobs/error.hpp"
#include "sharding/nccl_group.hpp"

namespace fp8cal {

std::unique_ptr<Collectives> make_nccl_group(MPI_Comm, int, int, const Backend&) {
  throw Error(
      ExitCode::failed,
      "NCCL is not compiled in, and several ranks on GPUs need it: build with NCCL, start one "
      "rank, or use runtime.backend = cpu");
}

}  // namespace fp8cal
