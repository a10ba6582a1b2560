#include "coordinator/preparation.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <thread>

#include "coordinator/gemm_self_check.hpp"
#include "coordinator/provenance.hpp"
#include "jobs/error.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

/// The GPU of this rank: those of a host are taken in turn. 0 where there is none.
int device_number(const Control& control) {
  const int devices = cuda_device_count();
  return devices > 0 ? control.rank_on_host() % devices : 0;
}

/// "host: NVIDIA H100 80GB HBM3, GPU 1".
std::string short_place(const Backend& backend, const Control& control) {
  const std::string device = backend.device();
  const std::string place = where_this_rank_runs(device.substr(0, device.find(',')));
  if (backend.name() == "cpu") return place;
  return fmt::format("{}, GPU {}", place, device_number(control));
}

}  // namespace

Preparation::Preparation(const Job& job, Inputs read, const Control& control, MPI_Comm world)
    : rank(control.rank()),
      threads(job.runtime.threads.value_or(threads_per_rank(control))),
      inputs(std::move(read)) {
  tell_stage("open the device");
  run_agreed(control, [&] { backend = open_backend(job, control); });
  vital_signs().place.write(short_place(*backend, control));
  check_alike(*backend, control);
  Device device = device_of(job, *backend, control.ranks_on_host());
  device.budget = smallest(device.budget, control);  // every rank makes the same plan
  tell_stage("plan and check the matrix products");
  run_agreed(control, [&] {
    plan =
        make_plan(inputs.config, inputs.workload(job), job.partition.mode, control.size(), device);
    vital_signs().partition.write(plan.grid.to_string());
    backend->limit_memory(device.budget - plan.memory.runtime);
    checkpoint = open_checkpoint(job, inputs.config);
    gemm_check = check_gemms(*backend, inputs.config, job);
  });
  tell_stage("connect the ranks");
  groups = make_groups(world, plan, *backend);
}

ShardContext Preparation::context(Backend& through, ProgressListener& progress) {
  return {.backend = through,
          .groups = groups,
          .config = inputs.config,
          .work = plan.work,
          .plan = plan,
          .rank = rank_plan(),
          .checkpoint = *checkpoint,
          .calibration = inputs.calibration,
          .evaluation = inputs.evaluation,
          .progress = progress,
          .threads = threads};
}

void check_alike(const Backend& backend, const Control& control) {
  const bool dequantizes = backend.fp8_products() == Fp8Products::dequantized;
  const int arithmetic = backend.name() == "cpu" ? 0 : dequantizes ? 1 : 2;
  if (control.max(arithmetic) == -control.max(-arithmetic)) return;
  throw AgreedError(ExitCode::bad_input,
                    "runtime.backend: ranks on different devices: expected only CPUs, only GPUs "
                    "with FP8 tensor cores or only GPUs without, found several of these");
}

std::uint64_t smallest(std::uint64_t bytes, const Control& control) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::uint64_t>(
      -control.max(-static_cast<std::int64_t>(std::min(bytes, kMost))));
}

void check_ranks(const Job& job, const Control& control) {
  if (!job.runtime.ranks || *job.runtime.ranks == control.size()) return;
  throw InputError("runtime.ranks", "ranks", std::to_string(*job.runtime.ranks),
                   fmt::format("{} (were they started apart from each other?)", control.size()));
}

int threads_per_rank(const Control& control) {
  // mpirun may have bound this rank to its share of the cores already.
  const int allowed = static_cast<int>(std::thread::hardware_concurrency());
  const int share = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) / control.ranks_on_host();
  return std::max(1, std::min(allowed, share));
}

Device device_of(const Job& job, const Backend& backend, int ranks_on_host) {
  Device device;
  device.is_gpu = backend.name() != "cpu";
  device.dequantizes = backend.fp8_products() == Fp8Products::dequantized;
  if (job.runtime.device_memory) {
    device.budget = *job.runtime.device_memory;
  } else if (device.is_gpu) {
    device.budget = backend.memory_bytes() / 10 * 9;
  } else {
    device.budget = backend.memory_bytes() / 10 * 8 / static_cast<std::uint64_t>(ranks_on_host);
  }
  return device;
}

Device planned_device(const Job& job, const Control& control, int ranks_on_host) {
  if (job.runtime.backend == "cuda" && job.runtime.device_memory) {
    return {.budget = *job.runtime.device_memory, .is_gpu = true, .dequantizes = false};
  }
  if (job.runtime.backend == "cuda" && cuda_device_count() == 0) {
    throw InputError("runtime.device_memory", "no GPU here to ask", "a size such as 80GiB", "auto");
  }
  return device_of(job, *open_backend(job, control), ranks_on_host);
}

std::unique_ptr<Backend> open_backend(const Job& job, const Control& control) {
  try {
    return make_backend({.name = job.runtime.backend,
                         .threads = job.runtime.threads.value_or(threads_per_rank(control)),
                         .device = device_number(control)});
  } catch (const std::invalid_argument& error) {
    throw Error(ExitCode::bad_input, fmt::format("runtime.backend: {}", error.what()));
  }
}

}  // namespace fp8cal
