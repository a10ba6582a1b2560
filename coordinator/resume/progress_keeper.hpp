#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/preparation.hpp"
#include "coordinator/resume/save_clock.hpp"
#include "coordinator/resume/saved_progress.hpp"
#include "sharding/ballot.hpp"
#include "sharding/control.hpp"
#include "sharding/units.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// Saves what a job has done, now and then or when a signal asks it to stop, and knows what earlier
/// runs of it did. Without a runtime.checkpoint it does nothing. What ranks save is decided between
/// units (sharding/ballot.hpp), so that they need not wait for each other.
class ProgressKeeper {
 public:
  /// Reads what was saved. must_equal: what a job must have in common with that. run: when and
  /// where this one began. stop_requested: the signal that asked to stop, or 0. Throws AgreedError
  /// with the reason where the progress is of another job; damaged, it is not used, with a warning.
  /// Collective.
  ProgressKeeper(const Job& job, const Attributes& must_equal, const std::string& run,
                 const Preparation& ready, const Control& control, MPI_Comm world,
                 std::function<int()> stop_requested);

  /// What earlier runs did.
  const SavedProgress& before() const { return before_; }
  Ranges calibration_left() const;
  Ranges windows_left() const;
  /// Those of them that are this rank's.
  Ranges own_windows_left() const;

  /// Units that are evaluated by all variants before the next ones, for passes_over.
  std::size_t units_a_pass() const;

  /// Throws AgreedError where weights that are loaded are not those of the earlier runs.
  /// Collective.
  void check_weights(const ShardWorker& worker);

  /// What unit_done() saves from now on: what `worker` observed in the units of its calibrate().
  void begin_calibration(ShardWorker& worker);
  /// From now on: `statistics`, of all layers of this rank and all sequences, and the scores of
  /// each pass that is done.
  void begin_evaluation(ShardWorker& worker, const std::vector<LayerStatistics>& statistics,
                        const std::vector<std::string>& variants);
  void pass_done(const Units& pass);

  /// After each unit, on every rank. Throws AgreedError with exit code 75 once it has saved because
  /// a signal asked to stop.
  void unit_done();

  /// Saves now. Collective.
  void save();

  /// To be called when all units are done. Collective.
  void close();

 private:
  enum class Stage { none, calibrate, evaluate };
  enum Vote { kGoOn, kSave, kStop };

  void read(const Attributes& must_equal);
  Vote own_vote();
  /// Brings to rank 0 what is done, as now_.
  void collect();
  void collect_statistics();
  void collect_scores();
  void write();

  const Job& job_;
  const Preparation& ready_;
  const Control& control_;
  std::function<int()> stop_requested_;
  bool enabled_;
  std::optional<Ballot> ballot_;
  std::optional<SaveClock> clock_;
  SavedProgress before_;
  SavedProgress now_;  ///< on rank 0: what was saved last

  Stage stage_ = Stage::none;
  ShardWorker* worker_ = nullptr;
  std::size_t calibrated_units_ = 0;
  bool has_all_statistics_ = false;                           ///< now_ on rank 0
  const std::vector<LayerStatistics>* statistics_ = nullptr;  ///< of this rank's layers
  std::vector<std::string> variants_;
  std::size_t evaluated_units_ = 0;
  std::size_t own_evaluated_ = 0;  ///< windows
};

}  // namespace fp8cal
