#pragma once

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "coordinator/preparation.hpp"
#include "coordinator/study/study.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// What each calibration of a study observes after each number of samples that its cells ask for.
/// The sequences of all calibrations lie one after another in Inputs::calibration; those of fewer
/// samples are the first ones of more (draw_windows), so each goes through the model once.
class StudyStatistics {
 public:
  /// missing: the cells whose results are wanted, by number. Borrows both.
  StudyStatistics(const Study& study, const std::vector<std::size_t>& missing,
                  const Preparation& ready);

  /// The sequences of a calibration among those of all.
  Range sequences(std::size_t calibration) const { return sequences_[calibration]; }

  /// How many calibrations run.
  std::size_t calibrations() const;

  /// Calibrates through the layers that are loaded. Throws AgreedError where an activation is
  /// infinite or NaN. Collective.
  void add_chunk(ShardWorker& worker, const Control& control);

  /// This rank's layers so far, of the calibration and number of samples of a missing cell; as a
  /// job of its own would have them, but for the maxima of the layers not yet loaded.
  const std::vector<LayerStatistics>& of(const StudyCell& cell) const {
    return layers_.at({cell.calibration, cell.job.calibration.samples});
  }

 private:
  Units units_of(Range sequences, std::size_t& position) const;

  const Preparation& ready_;
  std::vector<Range> sequences_;  // [calibrations]
  /// calibration and number of samples -> this rank's layers
  std::map<std::pair<std::size_t, std::size_t>, std::vector<LayerStatistics>> layers_;
};

}  // namespace fp8cal
