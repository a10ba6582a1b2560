#include "coordinator/status/status_keeper.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <span>

#include "coordinator/provenance.hpp"
#include "coordinator/supervision/last_words.hpp"
#include "jobs/atomic_file.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

constexpr std::chrono::seconds kInterval{2};
constexpr std::chrono::seconds kAfterFailure{60};
constexpr std::size_t kMaxMessage = 8192;  // the reader bounds the whole file

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

/// As sbatch tells it: "123", or "120_3" in an array.
std::optional<std::string> slurm_job() {
  const auto array = variable("SLURM_ARRAY_JOB_ID");
  const auto task = variable("SLURM_ARRAY_TASK_ID");
  return array && task ? *array + "_" + *task : variable("SLURM_JOB_ID");
}

std::uint64_t slurm_restarts() {
  const std::string text = variable("SLURM_RESTART_COUNT").value_or("0");
  std::uint32_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

}  // namespace

StatusKeeper::StatusKeeper(const Job& job, int ranks) : file_(absolute(job.runtime.status)) {
  status_.started = utc_now();
  status_.host = host_name();
  status_.pid = static_cast<std::uint64_t>(::getpid());
  status_.ranks = static_cast<std::uint64_t>(ranks);
  status_.slurm_job = slurm_job();
  status_.restarts = slurm_restarts();
  status_.result = absolute(job.output.result);
  if (!job.runtime.checkpoint.empty()) status_.checkpoint = absolute(job.runtime.checkpoint);
  thread_ = std::thread([this] { run(); });
  set_witness(
      [this](const std::string& line, int code) { finish(static_cast<ExitCode>(code), line); });
}

StatusKeeper::~StatusKeeper() {
  set_witness({});
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StatusKeeper::begin(const std::string& stage, const std::string& unit, std::size_t units,
                         std::size_t tokens_per_unit) {
  {
    const std::lock_guard lock(mutex_);
    count_.begin(stage, unit, units, tokens_per_unit);
    counts_ = news_ = true;
  }
  changed_.notify_all();
}

void StatusKeeper::advance(std::size_t units) {
  const std::lock_guard lock(mutex_);
  count_.advance(units);
}

void StatusKeeper::end() {
  {
    const std::lock_guard lock(mutex_);
    counts_ = false;
    news_ = true;
  }
  changed_.notify_all();
}

void StatusKeeper::tell_digest(const std::string& digest) {
  const std::lock_guard lock(mutex_);
  status_.digest = digest;
}

void StatusKeeper::finish(ExitCode code, const std::string& message) {
  std::unique_lock lock(mutex_);
  if (!ended_) {
    status_ = now();
    status_.state = state_of(code);
    status_.exit_code = static_cast<int>(code);
    status_.message = message.substr(0, kMaxMessage);
    ended_ = true;
  }
  changed_.notify_all();
  changed_.wait(lock, [this] { return finished_; });
}

void StatusKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!finished_) {
    changed_.wait_for(lock, kInterval, [this] { return news_ || ended_ || leaving_; });
    news_ = false;
    const bool last = ended_;
    const bool left = leaving_ && !ended_;
    if (!left && (last || Clock::now() >= next_try_)) {
      const JobStatus status = last ? status_ : now();
      lock.unlock();
      write(status);
      lock.lock();
    }
    finished_ = last || left;
  }
  changed_.notify_all();
}

/// Where nothing is counted, the vital signs know the stage.
JobStatus StatusKeeper::now() const {
  const VitalSigns& signs = vital_signs();
  JobStatus status = status_;
  status.stage = counts_ ? count_.stage() : signs.stage.read();
  const std::int64_t layer = signs.layer.load(std::memory_order_relaxed);
  if (layer != VitalSigns::kNoLayer) status.layer = static_cast<std::uint64_t>(layer);
  if (counts_) {
    status.unit = count_.unit();
    status.done = count_.done();
    status.units = count_.units();
    if (count_.done() > 0) status.tokens_per_second = count_.tokens_per_second();
    status.seconds_left = count_.seconds_left();
  }
  const std::string partition = signs.partition.read();
  if (!partition.empty()) status.partition = partition;
  return status;
}

void StatusKeeper::write(const JobStatus& status) {
  try {
    nlohmann::ordered_json json = to_json(status);
    json["updated"] = utc_now();
    const std::string text =
        json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    replace_file(file_, std::as_bytes(std::span(text)));
    next_try_ = {};
  } catch (const std::exception& error) {
    next_try_ = Clock::now() + kAfterFailure;
    if (!warned_) spdlog::warn("runtime.status: {}", error.what());
    warned_ = true;
  }
}

}  // namespace fp8cal
