#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fp8cal {

/// A line of text that one thread writes now and then and others, also in another process, read: of
/// the two copies they see the one that is not being written.
class SharedLine {
 public:
  /// Keeps the first 255 bytes.
  void write(std::string_view text);
  std::string read() const;

 private:
  static constexpr std::size_t kSize = 256;
  std::atomic<int> current_ = 0;
  char copies_[2][kSize] = {};
};

/// What a process does now, for whoever must tell when it no longer does it. Written by its main
/// thread; read by others, and by the process that supervises it.
struct VitalSigns {
  static constexpr std::int64_t kNoLayer = -1;

  SharedLine place;      ///< host and device
  SharedLine stage;      ///< such as "calibrate layers 0-31"
  SharedLine partition;  ///< as Grid::to_string; empty until it is planned
  std::atomic<std::int64_t> layer{kNoLayer};
  std::atomic<std::uint64_t> progress{0};  ///< counts whatever got done
  std::atomic<int> waiting{0};             ///< above 0: for other ranks, or for the device
  std::atomic<bool> monitored{false};      ///< a Monitor watches over its progress
  std::atomic<bool> has_peers{false};      ///< whose Monitors miss it where its own is stopped too
  std::atomic<double> deadline{120};  ///< seconds without progress that are too many; until the job
                                      ///< is read, its default
};

static_assert(std::atomic<std::int64_t>::is_always_lock_free &&
                  std::atomic<double>::is_always_lock_free,
              "processes share them");

/// Those of this process.
VitalSigns& vital_signs();

/// Moves them to memory that processes forked from now on share. Throws Error where there is none.
void share_vital_signs();

/// "in calibrate layers 0-31, layer 17"; "at the start" before there is a stage.
std::string position_of(const VitalSigns& signs);

/// A stage begins. Counts as progress.
void tell_stage(std::string_view stage);

/// A layer of the model begins. Counts as progress.
void tell_layer(std::size_t layer);

/// A part of the stage is done.
inline void tell_progress() { vital_signs().progress.fetch_add(1, std::memory_order_relaxed); }

/// While it lives, this process waits for other ranks or for its device. Its end counts as
/// progress, so it spans a whole wait, not one of the questions whether it is over.
class Waiting {
 public:
  Waiting() { vital_signs().waiting.fetch_add(1, std::memory_order_relaxed); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    vital_signs().waiting.fetch_sub(1, std::memory_order_relaxed);
    tell_progress();
  }
};

}  // namespace fp8cal
