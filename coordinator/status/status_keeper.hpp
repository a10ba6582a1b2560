#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "coordinator/stage_count.hpp"
#include "coordinator/status/job_status.hpp"
#include "jobs/job.hpp"
#include "worker/progress.hpp"

namespace fp8cal {

/// Keeps the file of runtime.status up to date, on rank 0, from construction to the end that it is
/// told of. A thread of its own writes, so that a slow file system does not slow the job: every two
/// seconds, also where nothing moves, and at the begin and end of each stage. A write that fails is
/// warned of once and not tried again for a minute.
class StatusKeeper : public ProgressListener {
 public:
  /// From now on it also writes down what ends the job without it (last_words.hpp); one at a time.
  StatusKeeper(const Job& job, int ranks);
  StatusKeeper(const StatusKeeper&) = delete;
  StatusKeeper& operator=(const StatusKeeper&) = delete;
  ~StatusKeeper() override;

  void begin(const std::string& stage, const std::string& unit, std::size_t units,
             std::size_t tokens_per_unit) override;
  void advance(std::size_t units) override;
  void end() override;

  /// The result is in place, with this content digest.
  void tell_digest(const std::string& digest);

  /// The job ends. Returns when that is written, or cannot be. What comes after the first end is
  /// not heard. Any thread may call it.
  void finish(ExitCode code, const std::string& message);

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  JobStatus now() const;
  void write(const JobStatus& status);

  const std::filesystem::path file_;

  std::mutex mutex_;  // over all down to finished_
  std::condition_variable changed_;
  JobStatus status_;  // without what now() adds
  StageCount count_;  // of a stage that units are told of
  bool counts_ = false;
  bool news_ = true;
  bool ended_ = false;
  bool leaving_ = false;
  bool finished_ = false;  // the thread writes no more

  Clock::time_point next_try_;  // the thread's own, as is the next one
  bool warned_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace fp8cal
