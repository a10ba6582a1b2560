#include "coordinator/resume/progress_keeper.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <cstring>
#include <set>

#include "coordinator/resume/progress_file.hpp"
#include "coordinator/window_scores.hpp"
#include "jobs/error.hpp"
#include "jobs/packing.hpp"
#include "jobs/weights_digest.hpp"
#include "sharding/agreement.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

// Of what a pass evaluates each variant quantizes all weights anew: with so many units that is no
// part worth mentioning, and more of them would be lost to a crash.
constexpr std::size_t kUnitsAPass = 4;

std::map<std::string, std::string> as_text(const Attributes& attributes) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : attributes) {
    texts[key] = std::visit([](const auto& one) { return fmt::format("{}", one); }, value);
  }
  return texts;
}

void expect_same(const std::string& file, const char* what,
                 const std::map<std::string, std::string>& own,
                 const std::map<std::string, std::string>& saved) {
  std::set<std::string> keys;
  for (const auto* side : {&own, &saved}) {
    for (const auto& [key, text] : *side) keys.insert(key);
  }
  const auto text_of = [](const auto& texts, const std::string& key) -> std::string {
    const auto found = texts.find(key);
    return found == texts.end() ? "nothing" : "'" + found->second + "'";
  };
  for (const std::string& key : keys) {
    const std::string expected = text_of(own, key);
    const std::string found = text_of(saved, key);
    if (expected != found) throw InputError(file, what + (": " + key), expected, found);
  }
}

std::string signal_name(int number) {
  const char* name = number == 0 ? nullptr : ::sigabbrev_np(number);
  return name == nullptr ? "a signal" : std::string("SIG") + name;
}

/// The digests of the tensors all of whose leaves are there.
std::map<std::string, std::string> tensor_digests(const WeightLeaves& leaves) {
  std::map<std::string, std::string> digests;
  for (const auto& [name, tensor] : leaves) digests[name] = weights_digest({{name, tensor}});
  return digests;
}

}  // namespace

ProgressKeeper::ProgressKeeper(const Job& job, const Attributes& must_equal, const std::string& run,
                               const Preparation& ready, const Control& control, MPI_Comm world,
                               std::function<int()> stop_requested)
    : job_(job),
      ready_(ready),
      control_(control),
      stop_requested_(std::move(stop_requested)),
      enabled_(!job.runtime.checkpoint.empty()) {
  if (!enabled_) return;
  run_agreed(control_, [&] {
    if (control_.rank() == 0) read(must_equal);
  });
  before_ = unpack_progress(control_.broadcast(pack_progress(before_)));
  now_ = before_;
  now_.job = as_text(must_equal);
  now_.runs.push_back(run);
  ballot_.emplace(world, ready.plan.grid.layers);
  clock_.emplace(job.runtime.checkpoint_interval, ballot_->delay(), SaveClock::Clock::now());
}

void ProgressKeeper::read(const Attributes& must_equal) {
  const std::filesystem::path folder = job_.runtime.checkpoint;
  prepare_progress_folder(folder);
  try {
    const std::optional<SavedProgress> saved = read_progress(folder);
    if (!saved) return;
    expect_same(progress_file(folder).string(),
                "progress of another job; remove it or name another folder", as_text(must_equal),
                saved->job);
    check_progress(*saved, ready_.inputs.config, ready_.plan.work);
    before_ = *saved;
    spdlog::info("going on from saved progress: {}", describe_progress(before_, ready_.plan.work));
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    spdlog::warn("saved progress is not used, beginning anew: {}", error.what());
  }
}

Ranges ProgressKeeper::calibration_left() const {
  return missing_from(before_.calibrated, ready_.plan.work.calibration_sequences);
}

Ranges ProgressKeeper::windows_left() const {
  return missing_from(before_.evaluated, ready_.plan.work.evaluation_windows);
}

Ranges ProgressKeeper::own_windows_left() const {
  const Ranges left = windows_left();
  return part_of(left,
                 share_of(count_of(left), ready_.plan.grid.sequences, ready_.rank_plan().share));
}

std::size_t ProgressKeeper::units_a_pass() const { return enabled_ ? kUnitsAPass : 0; }

void ProgressKeeper::check_weights(const ShardWorker& worker) {
  if (!enabled_) return;
  const std::vector<std::string> parts = control_.gather(pack_leaves(worker.leaves()));
  run_agreed(control_, [&] {
    WeightLeaves leaves;
    for (const std::string& part : parts) unpack_leaves(part, leaves);
    for (const auto& [tensor, digest] : tensor_digests(leaves)) {
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
  // Between chunks, hidden states are overwritten as units are done.
  stage_ = worker.chunks() == 1 ? Stage::calibrate : Stage::none;
}

void ProgressKeeper::begin_evaluation(ShardWorker& worker,
                                      const std::vector<LayerStatistics>& statistics,
                                      const std::vector<std::string>& variants) {
  worker_ = &worker;
  statistics_ = &statistics;
  variants_ = variants;
  if (worker.chunks() == 1) stage_ = Stage::evaluate;
}

void ProgressKeeper::pass_done(const Units& pass) {
  evaluated_units_ += pass.most;
  for (const Unit& unit : pass.own) own_evaluated_ += unit.sequences.count;
}

ProgressKeeper::Vote ProgressKeeper::own_vote() {
  if (stop_requested_() != 0) return kStop;
  return control_.rank() == 0 && clock_->unit_done(SaveClock::Clock::now()) ? kSave : kGoOn;
}

void ProgressKeeper::unit_done() {
  if (!enabled_) return;
  if (stage_ == Stage::calibrate) ++calibrated_units_;
  const int counted = ballot_->cast(own_vote());
  if (counted == kGoOn) return;
  if (counted == kSave) return save();
  ballot_->close();
  collect();
  run_agreed(control_, [&] {
    if (control_.rank() == 0) write();
  });
  throw AgreedError(
      ExitCode::progress_saved,
      fmt::format("stopped by {}, run the same job again to go on: {} saved in {}",
                  signal_name(stop_requested_()), describe_progress(now_, ready_.plan.work),
                  job_.runtime.checkpoint));
}

void ProgressKeeper::save() {
  if (!enabled_) return;
  collect();
  if (control_.rank() != 0) return;
  try {
    write();
  } catch (const Error& error) {
    spdlog::warn("progress could not be saved, the job goes on: {}", error.what());
  }
  clock_->saved(SaveClock::Clock::now());
}

void ProgressKeeper::close() {
  if (enabled_) ballot_->close();
}

void ProgressKeeper::collect() {
  if (stage_ == Stage::none) return;
  collect_statistics();
  if (stage_ == Stage::evaluate) collect_scores();
}

void ProgressKeeper::collect_statistics() {
  if (has_all_statistics_) return;
  std::vector<LayerStatistics> own;
  if (stage_ == Stage::calibrate) {
    own = worker_->observed_so_far();
  } else if (ready_.rank_plan().share == 0 && ready_.rank_plan().slice == 0) {
    own = *statistics_;
    for (LayerStatistics& one : own) one.weights = {};  // measured again when they are loaded
  }
  std::string bytes;
  for (const LayerStatistics& one : own) bytes += pack_statistics(one);
  const std::vector<std::string> stages = control_.gather(bytes);
  has_all_statistics_ = stage_ == Stage::evaluate;
  if (control_.rank() != 0) return;
  now_.layers.clear();
  for (const std::string& from : stages) {  // in the order of their layers
    for (Unpacker layers(from); !layers.done();) now_.layers.push_back(unpack_statistics(layers));
  }
  const Ranges left = calibration_left();
  now_.calibrated =
      joined(before_.calibrated,
             stage_ == Stage::evaluate ? left : done_after(calibrated_units_, left, ready_.plan));
}

void ProgressKeeper::collect_scores() {
  const std::size_t predictions = ready_.plan.work.evaluation_length - 1;
  const std::size_t total = ready_.plan.work.evaluation_windows;
  const Range done = {0, own_evaluated_};
  const Ranges own = part_of(own_windows_left(), done);
  const Ranges evaluated =
      joined(before_.evaluated, done_after(evaluated_units_, windows_left(), ready_.plan));
  for (const std::string& variant : variants_) {
    VariantScores all;
    if (before_.scores.contains(variant)) {
      place_scores(all, total, before_.evaluated, before_.scores.at(variant), predictions);
    }
    const VariantScores scores = scores_of(worker_->scores(variant), {done}, predictions);
    gather_scores(control_, own, scores, all, total, predictions);
    if (control_.rank() == 0) now_.scores[variant] = scores_of(all, evaluated, predictions);
  }
  now_.evaluated = evaluated;
}

void ProgressKeeper::write() {
  if (stage_ != Stage::none) write_progress(job_.runtime.checkpoint, now_);
}

}  // namespace fp8cal
