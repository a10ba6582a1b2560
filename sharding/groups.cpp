#include "sharding/groups.hpp"

#include "sharding/mpi_check.hpp"
#include "sharding/mpi_collectives.hpp"
#include "sharding/nccl_group.hpp"
#include "sharding/single_collectives.hpp"

namespace fp8cal {
namespace {

/// size: of the group, the same for every color.
std::shared_ptr<Collectives> make_group(MPI_Comm parent, int size, int color, int key,
                                        Backend& backend) {
  if (size == 1) return std::make_shared<SingleCollectives>(backend);
  if (backend.name() == "cuda") return make_nccl_group(parent, color, key, backend);
  return std::make_shared<MpiCollectives>(parent, color, key);
}

}  // namespace

Groups make_groups(MPI_Comm world, const Plan& plan, Backend& backend) {
  int rank = 0;
  FP8CAL_MPI(MPI_Comm_rank(world, &rank));
  const RankPlan& own = plan.ranks.at(static_cast<std::size_t>(rank));
  const auto& [stages, slices, shares] = plan.grid;
  Groups groups;
  groups.slices = make_group(world, slices, own.stage * shares + own.share, rank, backend);
  // Where there is one share, the slices are the stage: one communicator costs less than two.
  groups.stage =
      shares == 1 ? groups.slices : make_group(world, slices * shares, own.stage, rank, backend);
  groups.pipeline = make_group(world, stages, own.share * slices + own.slice, rank, backend);
  return groups;
}

}  // namespace fp8cal
