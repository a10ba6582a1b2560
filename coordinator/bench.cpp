#include "coordinator/bench.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>

#include "coordinator/pass_listener.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/scales/scale_policy.hpp"
#include "coordinator/throughput.hpp"
#include "jobs/packing.hpp"
#include "jobs/recipe.hpp"
#include "sharding/agreement.hpp"
#include "worker/shard_worker.hpp"

namespace fp8cal {
namespace {

class Bench {
 public:
  Bench(const Job& job, const Control& control, MPI_Comm world, ProgressListener& progress)
      : job_(job),
        control_(control),
        ready_(job, read_inputs(job, control), control, world),
        backend_(*ready_.backend),
        listener_(progress, backend_) {}

  BenchReport run();

 private:
  using Pass = std::function<void()>;

  /// Runs `pass` under the name of its stage.
  using RunStage = std::function<void(const std::string& stage, const Pass& pass)>;

  void run_chunk(std::size_t chunk);
  std::size_t warm_up_layers() const;
  void run_stages(const RunStage& run_stage);
  Units units_of(std::size_t sequences) const;
  void time(const std::string& stage, const Pass& pass);
  void profile(const std::string& stage, const Pass& pass);
  void wait();
  StageTime& stage_time(const std::string& stage);
  void count_work();

  const Job& job_;
  const Control& control_;
  Preparation ready_;
  TimedBackend backend_;
  PassListener listener_;
  std::optional<ShardWorker> worker_;
  BenchReport report_;
};

BenchReport Bench::run() {
  report_.version = version_text();
  report_.model = job_.model.path;
  report_.linear_elements = linear_elements(ready_.inputs.config);
  report_.backend = backend_.name();
  report_.places = control_.gather(where_this_rank_runs(backend_.device()));
  report_.partition = ready_.plan.grid.to_string();
  report_.microbatch = ready_.plan.work.microbatch;
  report_.gemm_check = ready_.gemm_check;

  time("load", [&] {
    run_agreed(control_, [&] { worker_.emplace(ready_.context(backend_, listener_)); });
  });
  report_.chunks = worker_->chunks();
  for (std::size_t chunk = 0; chunk < worker_->chunks(); ++chunk) run_chunk(chunk);
  count_work();
  return std::move(report_);
}

void Bench::run_chunk(std::size_t chunk) {
  listener_.listen(PassListener::Mode::show);
  time("load", [&] { run_agreed(control_, [&] { worker_->load(chunk); }); });

  worker_->sample("warm-up ");
  listener_.listen(PassListener::Mode::hide);
  const std::size_t enough = chunk == 0 ? warm_up_layers() : 1;  // other chunks have its shapes
  for (std::size_t layers = 0; layers < enough; layers += ready_.plan.layers_at_once) {
    run_stages([](const std::string&, const Pass& pass) { pass(); });
  }

  worker_->sample("");
  listener_.listen(PassListener::Mode::show);
  run_stages([&](const std::string& stage, const Pass& pass) { time(stage, pass); });

  worker_->sample("profile ");
  listener_.listen(PassListener::Mode::record);
  run_stages([&](const std::string& stage, const Pass& pass) { profile(stage, pass); });
}

/// A GPU is warm once its products have been searched for their fastest algorithms, after they have
/// run a few dozen times.
std::size_t Bench::warm_up_layers() const { return backend_.name() == "cpu" ? 1 : 40; }

/// All but loading.
void Bench::run_stages(const RunStage& run_stage) {
  const Units calibration = units_of(ready_.plan.work.calibration_sequences);
  const Units evaluation = units_of(ready_.plan.work.evaluation_windows);
  run_stage("forward", [&] { worker_->forward(calibration); });
  std::vector<LayerStatistics> statistics;
  run_stage("calibrate", [&] { statistics = worker_->calibrate(calibration, {}); });
  run_agreed(control_, [&] {
    for (const LayerStatistics& one : statistics) check_finite(one);
  });
  const ScalePolicy policy = parse_scale_policy(job_.scales.policy);
  run_stage("evaluate bf16", [&] { worker_->evaluate_bf16(evaluation); });
  for (const std::string& name : job_.scales.recipes) {
    const Recipe recipe = find_recipe(name);
    const std::vector<LayerScales> scales =
        derive_scales(recipe, policy, ready_.inputs.config.num_key_value_heads, statistics);
    run_stage("evaluate " + name, [&] { worker_->evaluate(recipe, scales, evaluation); });
  }
}

Units Bench::units_of(std::size_t sequences) const {
  return passes_over({{0, sequences}}, ready_.plan, ready_.rank_plan().share).front();
}

void Bench::time(const std::string& stage, const Pass& pass) {
  using Clock = std::chrono::steady_clock;
  control_.max(0);  // all ranks begin together
  const Clock::time_point begin = Clock::now();
  pass();
  wait();
  std::string own;
  pack(own, std::chrono::duration<double>(Clock::now() - begin).count());
  double slowest = 0;
  for (const std::string& from : control_.gather(own)) {
    double seconds = 0;
    Unpacker(from).take(seconds);
    slowest = std::max(slowest, seconds);
  }
  stage_time(stage).seconds += slowest;
}

void Bench::profile(const std::string& stage, const Pass& pass) {
  if (stage == "forward") return;  // calibrate runs the same kernels and more
  pass();
  wait();
  const auto same = std::find_if(report_.profiles.begin(), report_.profiles.end(),
                                 [&](const PassProfile& one) { return one.pass == stage; });
  if (same != report_.profiles.end()) {
    same->profile += backend_.profile();
    return;
  }
  const bool evaluates = stage.starts_with("evaluate");
  const Range own = evaluates ? ready_.rank_plan().evaluation : ready_.rank_plan().calibration;
  const std::size_t length =
      evaluates ? ready_.plan.work.evaluation_length : ready_.plan.work.calibration_length;
  report_.profiles.push_back(
      {stage, std::min(own.count, ready_.plan.work.microbatch) * length, backend_.profile()});
}

/// Until this rank's work is done. Collectives notice where another rank is gone.
void Bench::wait() {
  ready_.groups.slices->wait();
  ready_.groups.pipeline->wait();
  backend_.synchronize();
}

StageTime& Bench::stage_time(const std::string& stage) {
  for (StageTime& one : report_.stages) {
    if (one.stage == stage) return one;
  }
  report_.stages.push_back({.stage = stage});
  return report_.stages.back();
}

/// What each stage did, over all ranks and chunks.
void Bench::count_work() {
  const ModelConfig& config = ready_.inputs.config;
  const Workload& work = ready_.plan.work;
  for (StageTime& stage : report_.stages) {
    if (stage.stage == "load") {
      // Of streamed weights only the waiting was timed: most loading went on beside other stages.
      if (report_.chunks == 1) stage.bytes = loaded_bytes(config, ready_.plan);
      continue;
    }
    const bool evaluates = stage.stage.starts_with("evaluate");
    const std::size_t length = evaluates ? work.evaluation_length : work.calibration_length;
    stage.tokens = length * (evaluates ? work.evaluation_windows : work.calibration_sequences);
    stage.flop = static_cast<double>(stage.tokens) * flop_per_token(config, length);
  }
}

}  // namespace

BenchReport run_bench(const Job& job, const Control& control, MPI_Comm world,
                      ProgressListener& progress) {
  return Bench(job, control, world, progress).run();
}

}  // namespace fp8cal
