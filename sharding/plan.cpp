#include "sharding/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "jobs/byte_size.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

/// How many of a rank's layers fit at once; 0 where not even one does. A pipeline keeps its layers:
/// streaming them would leave the next stage idle.
std::size_t fitting_layers(const ModelConfig& config, const Workload& work, const Grid& grid,
                           std::uint64_t budget) {
  const std::size_t layers = config.num_hidden_layers / static_cast<std::size_t>(grid.layers);
  const auto fits = [&](std::size_t count) {
    return estimate_memory(config, work, grid, count).total() <= budget;
  };
  if (fits(layers)) return layers;
  if (grid.layers > 1) return 0;
  std::size_t count = layers - 1;
  while (count > 0 && !fits(count)) --count;
  return count;
}

struct Candidate {
  Grid grid;
  std::string reason;
};

/// Grids for `ranks` in the order in which `auto` would rather use them.
std::vector<Candidate> candidates(const ModelConfig& config, const Workload& work, int ranks) {
  std::vector<Candidate> all;
  if (ranks == 1) return {{Grid{}, "one rank does everything"}};
  if (static_cast<std::size_t>(ranks) <= work.calibration_sequences) {
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

[[noreturn]] void refuse_memory(const ModelConfig& config, const Workload& work, const Grid& grid,
                                std::uint64_t budget) {
  const std::size_t least = grid.layers > 1 ? config.num_hidden_layers / grid.layers : 1;
  const std::uint64_t needed = estimate_memory(config, work, grid, least).total();
  throw InputError("runtime.device_memory",
                   fmt::format("the job does not fit as '{}'", grid.to_string()),
                   "at least " + format_byte_size(needed) + " a rank", format_byte_size(budget));
}

Candidate choose(const ModelConfig& config, const Workload& work, int ranks, std::uint64_t budget) {
  const std::vector<Candidate> all = candidates(config, work, ranks);
  if (all.empty()) {
    throw InputError("partition.mode", "no partition uses every rank evenly",
                     fmt::format("{} ranks", fmt::join(usable_rank_counts(config, work), ", ")),
                     std::to_string(ranks));
  }
  const std::size_t layers = config.num_hidden_layers;
  for (const Candidate& one : all) {
    const std::size_t own = layers / static_cast<std::size_t>(one.grid.layers);
    if (fitting_layers(config, work, one.grid, budget) == own) {
      return {one.grid, one.reason + "; the weights fit in " + format_byte_size(budget)};
    }
  }
  for (const Candidate& one : all) {
    if (fitting_layers(config, work, one.grid, budget) > 0) {
      return {one.grid, one.reason + "; the weights do not fit in " + format_byte_size(budget) +
                            " and are streamed"};
    }
  }
  refuse_memory(config, work, all.back().grid, budget);
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

std::size_t Workload::max_tokens() const {
  return microbatch * std::max(calibration_length, evaluation_length);
}

Plan make_plan(const ModelConfig& config, const Workload& work, const std::string& mode, int ranks,
               std::uint64_t budget) {
  Plan plan;
  if (mode == "auto") {
    const Candidate chosen = choose(config, work, ranks, budget);
    plan.grid = chosen.grid;
    plan.reason = chosen.reason;
  } else {
    plan.grid = parse_grid(mode, ranks);
    plan.reason = "partition.mode asks for it";
  }
  check_grid(plan.grid, config, work.calibration_sequences);
  plan.layers_at_once = fitting_layers(config, work, plan.grid, budget);
  if (plan.layers_at_once == 0) refuse_memory(config, work, plan.grid, budget);
  plan.ranks = rank_plans(config, work, plan.grid);
  plan.memory = estimate_memory(config, work, plan.grid, plan.layers_at_once);
  return plan;
}

}  // namespace fp8cal
