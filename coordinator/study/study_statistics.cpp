#include "coordinator/study/study_statistics.hpp"

#include <iterator>
#include <set>

#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

/// What was observed up to sequence `sequences.end()`, as if there were no others.
LayerStatistics of_these(LayerStatistics all, Range sequences) {
  for (std::size_t s = 0; s < kSites; ++s) {
    std::vector<float>& amax = all.sequence_amax[s];
    const auto first = amax.begin() + static_cast<std::ptrdiff_t>(sequences.first);
    amax = std::vector<float>(first, first + static_cast<std::ptrdiff_t>(sequences.count));
    all.activations[s].snapshots = snapshots_of(amax);
  }
  return all;
}

}  // namespace

StudyStatistics::StudyStatistics(const Study& study, const std::vector<std::size_t>& missing,
                                 const Preparation& ready)
    : ready_(ready) {
  std::size_t next = 0;
  for (const StudyCalibration& calibration : study.calibrations) {
    sequences_.push_back({next, calibration.job.calibration.samples});
    next = sequences_.back().end();
  }
  for (const std::size_t cell : missing) {
    const StudyCell& one = study.cells[cell];
    layers_[{one.calibration, one.job.calibration.samples}];
  }
}

std::size_t StudyStatistics::calibrations() const {
  std::set<std::size_t> all;
  for (const auto& [key, layers] : layers_) all.insert(key.first);
  return all.size();
}

/// position: where the first of them lies among the hidden states of this rank's share.
Units StudyStatistics::units_of(Range sequences, std::size_t& position) const {
  Units units = std::move(passes_over({sequences}, ready_.plan, ready_.rank_plan().share).front());
  for (Unit& unit : units.own) {
    unit.position = position;
    position += unit.sequences.count;
  }
  return units;
}

void StudyStatistics::add_chunk(ShardWorker& worker, const Control& control) {
  std::vector<LayerStatistics> so_far;
  std::size_t calibration = sequences_.size();  // none yet
  std::size_t samples = 0;
  std::size_t position = 0;
  for (auto& [key, layers] : layers_) {  // fewer samples of a calibration come first
    if (key.first != calibration) so_far.clear();
    samples = key.first == calibration ? samples : 0;
    calibration = key.first;
    const std::size_t first = sequences_[calibration].first;
    so_far = worker.calibrate(units_of({first + samples, key.second - samples}, position), so_far);
    samples = key.second;
    std::vector<LayerStatistics> own;
    for (const LayerStatistics& one : so_far) own.push_back(of_these(one, {first, samples}));
    run_agreed(control, [&] {
      for (const LayerStatistics& one : own) check_finite(one);
    });
    std::move(own.begin(), own.end(), std::back_inserter(layers));
  }
}

}  // namespace fp8cal
