#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "coordinator/checkpoint/export_tensors.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/safetensors_writer.hpp"
#include "jobs/weights_digest.hpp"
#include "kernels/backend.hpp"
#include "kernels/cpu/thread_pool.hpp"

namespace fp8cal {

/// Reads weights block by block, hashes, quantizes and writes them: each block by one of its
/// threads, which keep a few MiB each.
class WeightExporter {
 public:
  WeightExporter(const Checkpoint& checkpoint, int threads);
  ~WeightExporter();

  /// Writes all tensors of `group`. Throws what reading and writing throw.
  void write(const ExportGroup& group, SafetensorsWriter& file);

  /// Hashes of all that was read.
  const WeightLeaves& leaves() const { return leaves_; }

 private:
  struct Workspace;
  struct Source;
  struct Block;
  struct Lease;

  void write_block(const Block& block, Workspace& work, SafetensorsWriter& file) const;

  const Checkpoint& checkpoint_;
  ThreadPool pool_;
  WeightLeaves leaves_;
  std::mutex mutex_;                              // for free_
  std::vector<std::unique_ptr<Workspace>> free_;  // one a thread
};

}  // namespace fp8cal
