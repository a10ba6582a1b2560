#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/resume/earlier_progress.hpp"
#include "coordinator/resume/save_clock.hpp"
#include "coordinator/resume/work_left.hpp"
#include "sharding/ballot.hpp"
#include "sharding/units.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// Saves what a job has done, now and then, and when a signal asks it to stop. Without a
/// runtime.checkpoint it does nothing. Ranks agree on when to save between two units
/// (sharding/ballot.hpp), without waiting for each other.
class ProgressKeeper {
 public:
  /// must_equal: what a job must have in common with its progress. run: when and where this one
  /// began. stop_requested: the signal that asked to stop, or 0. Collective.
  ProgressKeeper(const Job& job, const Attributes& must_equal, const std::string& run,
                 const SavedProgress& before, const WorkLeft& left, const Preparation& ready,
                 const Control& control, MPI_Comm world, std::function<int()> stop_requested);

  /// What earlier runs did, and what is left.
  const SavedProgress& before() const { return before_; }
  const WorkLeft& left() const { return left_; }

  /// Units that are evaluated by all variants before the next ones, for passes_over.
  std::size_t units_a_pass() const;

  /// Throws AgreedError where weights that are loaded are not those of earlier runs. Collective.
  void check_weights(const ShardWorker& worker);

  /// What is saved from now on: what `worker` has observed in the units of its calibrate().
  void begin_calibration(ShardWorker& worker);
  /// From now on: `statistics`, of the layers that are loaded, and the scores of passes that are
  /// done.
  void begin_evaluation(ShardWorker& worker, const std::vector<LayerStatistics>& statistics);
  void pass_done(const Units& pass);
  /// All passes through the layers that are loaded are done. Where there are several chunks of
  /// layers progress is saved here, hidden states too. Throws as unit_done does. Collective.
  void chunk_done();

  /// After each unit, on every rank. Throws AgreedError with exit code 75 once it has saved because
  /// a signal asked to stop.
  void unit_done();

  /// To be called when all units are done. Collective.
  void close();

  /// How often it has saved, and how long this rank was at it.
  std::size_t saves() const { return saves_; }
  std::chrono::duration<double> saving_time() const { return saving_time_; }

 private:
  enum class Stage { calibrate, evaluate };
  /// 0: go on; 1: save; larger: save and stop, as the signal of this number asks.
  int own_vote(bool wants_save) const;
  void save(int vote);
  [[noreturn]] void stop(int signal, const std::string& failure);
  /// Return why it failed, on rank 0.
  std::string save_between_units();
  std::string save_between_layers();
  /// Bring to rank 0 what is done, as now_.
  void collect_statistics();
  void collect_scores();
  std::vector<HiddenFile> write_own_hidden(std::size_t layers) const;
  std::vector<LayerStatistics> merged_here() const;
  void take_layers(const std::vector<LayerStatistics>& own);

  const Job& job_;
  const SavedProgress& before_;
  const WorkLeft& left_;
  const Preparation& ready_;
  const Control& control_;
  const std::function<int()> stop_requested_;
  const bool enabled_;
  std::optional<Ballot> ballot_;
  std::optional<SaveClock> clock_;
  SavedProgress now_;  ///< on rank 0: what was saved last

  std::set<std::string> checked_;  ///< tensors

  Stage stage_ = Stage::calibrate;
  ShardWorker* worker_ = nullptr;
  const std::vector<LayerStatistics>* statistics_ = nullptr;
  bool has_all_statistics_ = false;  ///< now_ on rank 0
  std::size_t calibrated_units_ = 0;
  std::size_t evaluated_units_ = 0;
  std::size_t own_evaluated_ = 0;  ///< windows
  std::size_t saves_ = 0;
  std::chrono::duration<double> saving_time_{};
};

}  // namespace fp8cal
