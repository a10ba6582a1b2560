#pragma once

#include "jobs/model_config.hpp"
#include "kernels/backend.hpp"
#include "sharding/collectives.hpp"
#include "sharding/weight_shards.hpp"
#include "worker/observer.hpp"

namespace fp8cal {

/// Counts the exact distribution of every site of a run of layers, in device memory.
class StatisticsObserver : public Observer {
 public:
  /// layers: those that will be observed. sequences: of the whole calibration, over all ranks.
  /// slice of slices: the position along `tensor`.
  StatisticsObserver(Backend& backend, const ModelConfig& config, Range layers,
                     std::size_t sequences, int slices, int slice);

  /// What comes next are sequences from `first_sequence` on, of `sequence_length` rows each.
  void begin(std::size_t first_sequence, std::size_t sequence_length);
  void observe(std::size_t layer, Site site, ConstMatrix x, std::size_t first_row) override;

  /// Counts what was observed before as if it had been observed here. For one rank of those that
  /// merge, before it observes anything.
  void start_from(const LayerStatistics& before);

  /// Adds up what the ranks of `group` observed. Collective.
  void merge(Collectives& group);
  /// The same in the middle: the first rank then has what all observed and goes on from there, the
  /// others begin anew, so that the next merge counts nothing twice.
  void merge_on_first(Collectives& group);
  /// The activations of one layer; throws Error naming tensor, layer and sequence where one is
  /// infinite or NaN.
  void download(LayerStatistics& into) const;

 private:
  Observation slots(std::size_t layer, Site site) const;
  std::size_t maxima_per_layer() const;

  Backend& backend_;
  ModelConfig config_;
  Range layers_;
  std::size_t sequences_;
  int slices_;
  int slice_;
  Buffer histograms_;  // [layers, kSites, kHistogramBins] u64
  Buffer maxima_;      // [layers, (site: channels, sequences)...] u32
  std::size_t first_sequence_ = 0;
  std::size_t sequence_length_ = 1;
};

}  // namespace fp8cal
