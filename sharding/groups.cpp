#include "sharding/groups.hpp"

#include "jobs/error.hpp"
#include "sharding/mpi_check.hpp"
#include "sharding/mpi_collectives.hpp"

namespace fp8cal {

Groups make_groups(MPI_Comm world, const Plan& plan, const std::string& backend) {
  if (backend != "cpu") {
    throw Error(ExitCode::failed, "no collectives for the backend '" + backend + "'");
  }
  int rank = 0;
  FP8CAL_MPI(MPI_Comm_rank(world, &rank));
  const RankPlan& own = plan.ranks.at(static_cast<std::size_t>(rank));
  const int shares = plan.grid.sequences;
  const int slices = plan.grid.tensor;
  Groups groups;
  groups.slices = std::make_unique<MpiCollectives>(world, own.stage * shares + own.share, rank);
  groups.stage = std::make_unique<MpiCollectives>(world, own.stage, rank);
  groups.pipeline = std::make_unique<MpiCollectives>(world, own.share * slices + own.slice, rank);
  return groups;
}

}  // namespace fp8cal
