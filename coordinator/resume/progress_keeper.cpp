#include "coordinator/resume/progress_keeper.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstring>

#include "coordinator/resume/progress_file.hpp"
#include "coordinator/window_scores.hpp"
#include "jobs/error.hpp"
#include "jobs/packing.hpp"
#include "jobs/weights_digest.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

// Of what a pass evaluates each variant quantizes all weights anew: with so many units that is no
// part worth mentioning, and more of them would be lost to a crash.
constexpr std::size_t kUnitsAPass = 4;

constexpr int kGoOn = 0;
constexpr int kSave = 1;
static_assert(SIGUSR1 > kSave && SIGTERM > SIGUSR1, "votes are signal numbers");

/// Why `step` failed; empty where it did not.
std::string failure_of(const std::function<void()>& step) {
  try {
    step();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

ProgressKeeper::ProgressKeeper(const Job& job, const Attributes& must_equal, const std::string& run,
                               const SavedProgress& before, const WorkLeft& left,
                               const Preparation& ready, const Control& control, MPI_Comm world,
                               std::function<int()> stop_requested)
    : job_(job),
      before_(before),
      left_(left),
      ready_(ready),
      control_(control),
      stop_requested_(std::move(stop_requested)),
      enabled_(!job.runtime.checkpoint.empty()) {
  if (!enabled_) return;
  now_ = before_;
  now_.job = as_text(must_equal);
  now_.runs.push_back(run);
  ballot_.emplace(world, ready.plan.grid.layers);
  clock_.emplace(job.runtime.checkpoint_interval, ballot_->delay(), SaveClock::Clock::now());
}

std::size_t ProgressKeeper::units_a_pass() const { return enabled_ ? kUnitsAPass : 0; }

void ProgressKeeper::check_weights(const ShardWorker& worker) {
  if (!enabled_) return;
  WeightLeaves fresh;  // a chunk of layers adds to those before
  for (const auto& [tensor, own] : worker.leaves()) {
    if (checked_.insert(tensor).second) fresh.emplace(tensor, own);
  }
  const std::vector<std::string> parts = control_.gather(pack_leaves(fresh));
  run_agreed(control_, [&] {
    WeightLeaves leaves;
    for (const std::string& part : parts) unpack_leaves(part, leaves);
    for (const auto& [tensor, own] : leaves) {
      const std::string digest = weights_digest({{tensor, own}});
      const auto before = before_.tensors.find(tensor);
      if (before != before_.tensors.end() && before->second != digest) {
        throw InputError(progress_file(job_.runtime.checkpoint).string(),
                         "progress with other weights; remove it to start over: " + tensor, digest,
                         before->second);
      }
      now_.tensors[tensor] = digest;
    }
  });
}

void ProgressKeeper::begin_calibration(ShardWorker& worker) {
  worker_ = &worker;
  stage_ = Stage::calibrate;
}

void ProgressKeeper::begin_evaluation(ShardWorker& worker,
                                      const std::vector<LayerStatistics>& statistics) {
  worker_ = &worker;
  statistics_ = &statistics;
  stage_ = Stage::evaluate;
}

void ProgressKeeper::pass_done(const Units& pass) {
  evaluated_units_ += pass.most;
  for (const Unit& unit : pass.own) own_evaluated_ += unit.sequences.count;
}

int ProgressKeeper::own_vote(bool wants_save) const {
  if (const int signal = stop_requested_(); signal != 0) return signal;
  return control_.rank() == 0 && wants_save ? kSave : kGoOn;
}

void ProgressKeeper::unit_done() {
  // Between chunks of layers, units overwrite the hidden states that they began with.
  if (!enabled_ || worker_->chunks() > 1) return;
  if (stage_ == Stage::calibrate) ++calibrated_units_;
  const int vote = ballot_->cast(own_vote(clock_->unit_done(SaveClock::Clock::now())));
  if (vote != kGoOn) save(vote);
}

void ProgressKeeper::chunk_done() {
  if (!enabled_) return;
  if (worker_->chunks() == 1) {
    // Writing a checkpoint takes its time, and may fail.
    if (!job_.output.checkpoint.empty()) save(kSave);
    return;
  }
  const std::size_t layers = worker_->loaded_layers().end();
  const bool is_last = layers == ready_.inputs.config.num_hidden_layers;
  if (is_last || layers <= before_.layers_done) return;
  take_layers(merged_here());
  const bool is_due = clock_->is_due(SaveClock::Clock::now());
  const auto vote = static_cast<int>(control_.max(own_vote(is_due)));
  if (vote != kGoOn) save(vote);
}

void ProgressKeeper::save(int vote) {
  const SaveClock::Clock::time_point begin = SaveClock::Clock::now();
  const std::string failure = worker_->chunks() > 1 ? save_between_layers() : save_between_units();
  const SaveClock::Clock::time_point end = SaveClock::Clock::now();
  clock_->saved(end);
  saving_time_ += end - begin;
  ++saves_;
  if (vote > kSave) stop(vote, failure);
  if (!failure.empty()) {
    spdlog::warn("progress could not be saved, the job goes on: {}", failure);
  }
}

void ProgressKeeper::stop(int signal, const std::string& failure) {
  ballot_->close();
  run_agreed(control_, [&] {
    if (!failure.empty()) throw Error(ExitCode::failed, failure);
  });
  throw AgreedError(ExitCode::progress_saved,
                    fmt::format("stopped by SIG{}, run the same job again to go on: {} saved in {}",
                                ::sigabbrev_np(signal),
                                describe_progress(now_, ready_.inputs.config, ready_.plan.work),
                                job_.runtime.checkpoint));
}

std::string ProgressKeeper::save_between_units() {
  collect_statistics();
  collect_scores();
  if (control_.rank() != 0) return "";
  return failure_of([&] { write_progress(job_.runtime.checkpoint, now_); });
}

/// Every rank of a stage has them: one sends them.
std::vector<LayerStatistics> ProgressKeeper::merged_here() const {
  const bool leads = ready_.rank_plan().share == 0 && ready_.rank_plan().slice == 0;
  return leads ? *statistics_ : std::vector<LayerStatistics>();
}

void ProgressKeeper::take_layers(const std::vector<LayerStatistics>& own) {
  std::string bytes;
  for (LayerStatistics one : own) {
    one.weights = {};  // measured again when they are loaded
    bytes += pack_statistics(one);
  }
  for (const std::string& from : control_.gather(bytes)) {
    for (Unpacker layers(from); !layers.done();) {
      LayerStatistics one = unpack_statistics(layers);
      now_.layers.resize(std::max(now_.layers.size(), one.layer + 1));
      now_.layers[one.layer] = std::move(one);
    }
  }
}

void ProgressKeeper::collect_statistics() {
  if (has_all_statistics_ || left_.passes() == left_.variants()) return;
  if (stage_ == Stage::calibrate) {
    take_layers(worker_->observed_so_far());
    now_.calibrated =
        joined(before_.calibrated, done_after(calibrated_units_, left_.calibration(), ready_.plan));
  } else {
    take_layers(merged_here());
    now_.calibrated = joined(before_.calibrated, left_.calibration());
    has_all_statistics_ = true;
  }
}

void ProgressKeeper::collect_scores() {
  if (stage_ != Stage::evaluate) return;
  const std::size_t predictions = ready_.plan.work.evaluation_length - 1;
  const std::size_t total = ready_.plan.work.evaluation_windows;
  const Range done = {0, own_evaluated_};
  const Ranges own = part_of(left_.own_windows(), done);
  now_.evaluated =
      joined(before_.evaluated, done_after(evaluated_units_, left_.windows(), ready_.plan));
  for (const std::string& variant : left_.variants()) {
    VariantScores all;
    if (before_.scores.contains(variant)) {
      place_scores(all, total, before_.evaluated, before_.scores.at(variant), predictions);
    }
    gather_scores(control_, own, scores_of(worker_->scores(variant), {done}, predictions), all,
                  total, predictions);
    if (control_.rank() == 0) now_.scores[variant] = scores_of(all, now_.evaluated, predictions);
  }
}

std::string ProgressKeeper::save_between_layers() {
  const std::size_t layers = worker_->loaded_layers().end();
  std::string files;
  const std::string failure = failure_of([&] {
    for (const HiddenFile& file : write_own_hidden(layers)) files += pack_hidden_file(file);
  });
  const std::vector<std::string> failures = control_.gather(failure);
  const std::vector<std::string> parts = control_.gather(files);
  if (control_.rank() != 0) return "";
  const std::filesystem::path folder = job_.runtime.checkpoint;
  return failure_of([&] {
    for (const std::string& one : failures) {
      if (one.empty()) continue;
      remove_hidden_files(folder, now_.hidden);
      throw Error(ExitCode::failed, one);
    }
    SavedProgress next = now_;
    next.layers_done = layers;
    next.hidden.clear();
    for (const std::string& part : parts) {
      for (Unpacker from(part); !from.done();) next.hidden.push_back(unpack_hidden_file(from));
    }
    write_progress(folder, next);
    now_ = std::move(next);
    remove_hidden_files(folder, now_.hidden);  // those of before
  });
}

std::vector<HiddenFile> ProgressKeeper::write_own_hidden(std::size_t layers) const {
  std::vector<HiddenFile> files;
  if (ready_.rank_plan().slice != 0) return files;
  for (const std::string& pass : left_.passes()) {
    const Ranges sequences = left_.own(pass);
    if (sequences.empty()) continue;
    files.push_back(write_hidden(
        job_.runtime.checkpoint, hidden_file_name(layers, pass, ready_.rank_plan().share), pass,
        sequences, worker_->hidden(pass).first(count_of(sequences) * left_.hidden_elements(pass))));
  }
  return files;
}

void ProgressKeeper::close() {
  if (enabled_) ballot_->close();
}

}  // namespace fp8cal
