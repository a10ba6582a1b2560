#include "sharding/groups.hpp"

#include "sharding/mpi_check.hpp"
#include "sharding/mpi_collectives.hpp"
#include "sharding/nccl_group.hpp"

namespace fp8cal {
namespace {

std::unique_ptr<Collectives> make_group(MPI_Comm parent, int color, int key,
                                        const Backend& backend) {
  if (backend.name() == "cuda") return make_nccl_group(parent, color, key, backend);
  return std::make_unique<MpiCollectives>(parent, color, key);
}

}  // namespace

Groups make_groups(MPI_Comm world, const Plan& plan, const Backend& backend) {
  int rank = 0;
  FP8CAL_MPI(MPI_Comm_rank(world, &rank));
  const RankPlan& own = plan.ranks.at(static_cast<std::size_t>(rank));
  const int shares = plan.grid.sequences;
  const int slices = plan.grid.tensor;
  Groups groups;
  groups.slices = make_group(world, own.stage * shares + own.share, rank, backend);
  groups.stage = make_group(world, own.stage, rank, backend);
  groups.pipeline = make_group(world, own.share * slices + own.slice, rank, backend);
  return groups;
}

}  // namespace fp8cal
