#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/resume/hidden_states.hpp"
#include "jobs/model_config.hpp"
#include "sharding/plan.hpp"
#include "sharding/range.hpp"
#include "worker/layer_statistics.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {

/// What a job has done so far, told by its content: any number of ranks in any partition can go on.
struct SavedProgress {
  std::map<std::string, std::string> job;      ///< what must be equal: describe_job as text
  std::map<std::string, std::string> tensors;  ///< of the checkpoint -> weights_digest of it alone
  std::vector<std::string> runs;               ///< when and where each earlier run began

  Ranges calibrated;  ///< calibration sequences, by all layers
  /// Layers through which all other sequences and windows went, too, where weights are streamed.
  std::size_t layers_done = 0;
  std::vector<HiddenFile> hidden;  ///< what these ended with there
  /// Activations: of the layers that are done over all sequences, of the others over `calibrated`;
  /// where that is empty only of those that are done.
  std::vector<LayerStatistics> layers;

  Ranges evaluated;  ///< windows, by every variant
  /// variant -> [windows of `evaluated`, predictions]
  std::map<std::string, VariantScores> scores;
};

/// Bytes as of jobs/packing.hpp, and back. Throws Error where the bytes end early.
std::string pack_progress(const SavedProgress& progress);
SavedProgress unpack_progress(const std::string& bytes);

/// Throws Error where the parts do not have the sizes that the model and the work give them.
void check_progress(const SavedProgress& progress, const ModelConfig& config, const Workload& work);

/// "120 of 256 calibration sequences, 0 of 141 windows", or "8 of 32 layers".
std::string describe_progress(const SavedProgress& progress, const ModelConfig& config,
                              const Workload& work);

}  // namespace fp8cal
