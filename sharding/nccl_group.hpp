#pragma once

#include <mpi.h>

#include <memory>

#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"

namespace fp8cal {

/// The most multiprocessors of a GPU that a group's operations take: enough for most of NVLink's
/// speed, few enough for products to go on beside them.
inline constexpr int kNcclMultiprocessors = 16;

/// NcclCollectives on the stream of `backend`, a cuda backend; arguments as MpiCollectives. Throws
/// Error where NCCL is not compiled in.
std::unique_ptr<Collectives> make_nccl_group(MPI_Comm parent, int color, int key,
                                             const Backend& backend);

}  // namespace fp8cal
