#include "sharding/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "jobs/byte_size.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

// Tokens of a microbatch from which on a GPU's matrix products are as fast as they get; measured on
// an H200 (docs/benchmarks.md).
constexpr std::size_t kGpuTokens = 32768;

/// How much of a rank's work is done at once.
struct Fit {
  std::size_t microbatch = 0;  // sequences
  std::size_t layers = 0;      // 0: does not fit
};

/// How many of a rank's layers fit at once; 0 where not even one does. A pipeline keeps its layers:
/// streaming them would leave the next stage idle.
std::size_t fitting_layers(const ModelConfig& config, const Workload& work, const Grid& grid,
                           const Device& device) {
  const std::size_t layers = config.num_hidden_layers / static_cast<std::size_t>(grid.layers);
  const auto fits = [&](std::size_t count) {
    return estimate_memory(config, work, grid, count, device).total() <= device.budget;
  };
  if (fits(layers)) return layers;
  if (grid.layers > 1) return 0;
  std::size_t count = layers - 1;
  while (count > 0 && !fits(count)) --count;
  return count;
}

/// The largest microbatch that is worth trying, a power of two.
std::size_t largest_microbatch(const Workload& work, const Grid& grid, const Device& device) {
  const std::size_t own = work.shared_sequences() / static_cast<std::size_t>(grid.sequences);
  std::size_t limit = device.is_gpu ? kGpuTokens / std::max<std::size_t>(1, work.max_length()) : 1;
  limit = std::min(limit, own);
  // A pipeline of n stages idles for n - 1 microbatches of a pass.
  if (grid.layers > 1)
    limit = std::min(limit, own / (16 * static_cast<std::size_t>(grid.layers - 1)));
  return std::bit_floor(std::max<std::size_t>(1, limit));
}

/// The microbatch that the job asks for, else the largest with which all weights stay. Streamed
/// weights leave room for a smaller one, since with more layers at once hidden states make fewer
/// trips to the host.
Fit fit(const ModelConfig& config, Workload work, const Grid& grid, const Device& device) {
  const auto layers_with = [&](std::size_t microbatch) {
    work.microbatch = microbatch;
    return fitting_layers(config, work, grid, device);
  };
  if (work.microbatch != 0) return {work.microbatch, layers_with(work.microbatch)};
  const std::size_t own = config.num_hidden_layers / static_cast<std::size_t>(grid.layers);
  const std::size_t largest = largest_microbatch(work, grid, device);
  for (std::size_t microbatch = largest; microbatch > 0; microbatch /= 2) {
    if (layers_with(microbatch) == own) return {microbatch, own};
  }
  for (std::size_t microbatch = std::max<std::size_t>(1, largest / 2); microbatch > 0;
       microbatch /= 2) {
    if (const std::size_t layers = layers_with(microbatch); layers > 0) return {microbatch, layers};
  }
  return {1, 0};
}

struct Candidate {
  Grid grid;
  std::string reason;
};

/// Grids for `ranks` in the order in which `auto` would rather use them.
std::vector<Candidate> candidates(const ModelConfig& config, const Workload& work, int ranks) {
  std::vector<Candidate> all;
  if (ranks == 1) return {{Grid{}, "one rank does everything"}};
  if (static_cast<std::size_t>(ranks) <= work.shared_sequences()) {
    all.push_back({{.sequences = ranks}, "ranks share the sequences and exchange nothing"});
  }
  const std::vector<int> tensor = tensor_degrees(config);
  for (int stages : layer_degrees(config)) {
    if (stages == 1 || ranks % stages != 0) continue;
    const int slices = ranks / stages;
    if (std::find(tensor.begin(), tensor.end(), slices) == tensor.end()) continue;
    all.push_back({{.layers = stages, .tensor = slices},
                   slices == 1 ? "each rank keeps a run of layers"
                               : "each rank keeps a slice of a run of layers"});
  }
  // Fewer slices exchange less.
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.grid.tensor < b.grid.tensor;
  });
  if (std::find(tensor.begin(), tensor.end(), ranks) != tensor.end()) {
    all.push_back({{.tensor = ranks}, "each rank keeps a slice of every weight"});
  }
  return all;
}

/// Rank counts up to 64 for which `auto` has a grid.
std::vector<int> usable_rank_counts(const ModelConfig& config, const Workload& work) {
  std::vector<int> counts;
  for (int ranks = 1; ranks <= 64; ++ranks) {
    if (!candidates(config, work, ranks).empty()) counts.push_back(ranks);
  }
  return counts;
}

/// The grid of these ranks: the mode's, or the one that `auto` would take. None where no rank can
/// hold its part.
std::optional<Candidate> choose(const ModelConfig& config, const Workload& work,
                                const std::string& mode, int ranks, const Device& device) {
  if (mode != "auto") {
    const Grid grid = parse_grid(mode, ranks);
    check_grid(grid, config, work.shared_sequences());
    if (fit(config, work, grid, device).layers == 0) return std::nullopt;
    return Candidate{grid, "partition.mode asks for it"};
  }
  const std::vector<Candidate> all = candidates(config, work, ranks);
  if (all.empty()) {
    throw InputError("partition.mode", "no partition uses every rank evenly",
                     fmt::format("{} ranks", fmt::join(usable_rank_counts(config, work), ", ")),
                     std::to_string(ranks));
  }
  const std::string budget = format_byte_size(device.budget);
  for (const Candidate& one : all) {
    const std::size_t own = config.num_hidden_layers / static_cast<std::size_t>(one.grid.layers);
    if (fit(config, work, one.grid, device).layers == own) {
      return Candidate{one.grid, one.reason + "; the weights fit in " + budget};
    }
  }
  for (const Candidate& one : all) {
    if (fit(config, work, one.grid, device).layers > 0) {
      return Candidate{one.grid,
                       one.reason + "; the weights do not fit in " + budget + " and are streamed"};
    }
  }
  return std::nullopt;
}

/// The smallest budget of a rank with which the mode's, or any, grid of these ranks fits.
std::uint64_t smallest_budget(const ModelConfig& config, Workload work, const std::string& mode,
                              int ranks, const Device& device) {
  std::vector<Candidate> grids;
  if (mode == "auto") {
    grids = candidates(config, work, ranks);
  } else {
    grids.push_back({parse_grid(mode, ranks), ""});
  }
  work.microbatch = std::max<std::size_t>(1, work.microbatch);
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  for (const Candidate& one : grids) {
    const std::size_t least =
        one.grid.layers > 1 ? config.num_hidden_layers / static_cast<std::size_t>(one.grid.layers)
                            : 1;
    smallest = std::min(smallest, estimate_memory(config, work, one.grid, least, device).total());
  }
  return smallest;
}

/// The smallest number of ranks from `ranks` to 64 with which `auto` fits; 0: none.
int sufficient_ranks(const ModelConfig& config, const Workload& work, int ranks,
                     const Device& device) {
  for (; ranks <= 64; ++ranks) {
    for (const Candidate& one : candidates(config, work, ranks)) {
      if (fit(config, work, one.grid, device).layers > 0) return ranks;
    }
  }
  return 0;
}

[[noreturn]] void refuse_memory(const ModelConfig& config, const Workload& work,
                                const std::string& mode, int ranks, const Device& device) {
  std::string expected = "at least " +
                         format_byte_size(smallest_budget(config, work, mode, ranks, device)) +
                         " a rank";
  if (const int enough = sufficient_ranks(config, work, ranks, device); enough > 0) {
    expected +=
        fmt::format(", or {} rank{} with partition.mode = auto", enough, enough == 1 ? "" : "s");
  }
  throw InputError("runtime.device_memory",
                   fmt::format("the job does not fit on {} rank{} with partition.mode = {}", ranks,
                               ranks == 1 ? "" : "s", mode),
                   expected, format_byte_size(device.budget));
}

/// Where there is room, what recipes are compared with stays on the device.
void keep_reference(Plan& plan, const ModelConfig& config, const Device& device) {
  std::size_t windows = 0;
  for (const RankPlan& rank : plan.ranks) windows = std::max(windows, rank.evaluation.count);
  const std::uint64_t whole = windows * plan.work.evaluation_length * config.hidden_size * 2;
  const std::uint64_t others = plan.memory.total() - plan.memory.reference;
  if (!plan.work.compares || others > device.budget || whole > device.budget - others) return;
  plan.memory.reference = whole;
  plan.keeps_reference = true;
}

std::vector<RankPlan> rank_plans(const ModelConfig& config, const Workload& work,
                                 const Grid& grid) {
  std::vector<RankPlan> plans;
  for (int rank = 0; rank < grid.ranks(); ++rank) {
    RankPlan plan;
    plan.slice = rank % grid.tensor;
    plan.share = rank / grid.tensor % grid.sequences;
    plan.stage = rank / (grid.tensor * grid.sequences);
    plan.layers = share_of(config.num_hidden_layers, grid.layers, plan.stage);
    plan.calibration = share_of(work.calibration_sequences, grid.sequences, plan.share);
    plan.evaluation = share_of(work.evaluation_windows, grid.sequences, plan.share);
    plan.embeds = plan.stage == 0;
    plan.predicts = plan.stage == grid.layers - 1;
    plans.push_back(plan);
  }
  return plans;
}

}  // namespace

std::size_t Workload::max_length() const { return std::max(calibration_length, evaluation_length); }

std::size_t Workload::max_tokens() const { return microbatch * max_length(); }

Plan make_plan(const ModelConfig& config, const Workload& work, const std::string& mode, int ranks,
               const Device& device) {
  const std::optional<Candidate> chosen = choose(config, work, mode, ranks, device);
  if (!chosen) refuse_memory(config, work, mode, ranks, device);
  const Fit how = fit(config, work, chosen->grid, device);
  Plan plan;
  plan.grid = chosen->grid;
  plan.reason = chosen->reason;
  plan.work = work;
  plan.work.microbatch = how.microbatch;
  plan.layers_at_once = how.layers;
  plan.ranks = rank_plans(config, work, plan.grid);
  plan.memory = estimate_memory(config, plan.work, plan.grid, plan.layers_at_once, device);
  keep_reference(plan, config, device);
  return plan;
}

Plan tensor_plan(const ModelConfig& config, int ranks) {
  Plan plan;
  plan.grid.tensor = ranks;
  plan.reason = "each rank decodes with a slice of every tensor";
  plan.layers_at_once = config.num_hidden_layers;
  plan.ranks = rank_plans(config, plan.work, plan.grid);
  return plan;
}

}  // namespace fp8cal
