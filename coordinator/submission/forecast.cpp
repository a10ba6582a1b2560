#include "coordinator/submission/forecast.hpp"

#include <algorithm>

#include "coordinator/throughput.hpp"
#include "jobs/error.hpp"
#include "worker/layer_statistics.hpp"

namespace fp8cal {
namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;

/// A job's tensors on the host, in bytes.
struct HostSizes {
  std::uint64_t tokens = 0;      ///< of all sequences and windows
  std::uint64_t statistics = 0;  ///< of all layers: histograms, and maxima of channels
  std::uint64_t scores = 0;      ///< of all variants
  std::uint64_t hidden = 0;      ///< states of all sequences, and of the windows of each variant
  std::uint64_t reference = 0;   ///< hidden states of BF16 that recipes are compared with
};

std::uint64_t statistics_of_layer(const ModelConfig& config) {
  std::uint64_t bytes = 0;
  for (std::size_t site = 0; site < kSites; ++site) {
    bytes += kHistogramSize * sizeof(std::uint64_t) +
             channels_of(static_cast<Site>(site), config) * sizeof(float);
  }
  // A maximum an output row of each of the seven linear modules.
  const std::uint64_t rows = config.q_rows() + 2 * config.kv_rows() + 2 * config.hidden_size +
                             2 * config.intermediate_size;
  return bytes + rows * sizeof(float);
}

HostSizes sizes_of(const ModelConfig& config, const Workload& work, std::uint64_t variants) {
  constexpr std::uint64_t kNll = 4;
  constexpr std::uint64_t kDivergenceAndMark = 5;
  const std::uint64_t calibration = work.calibration_sequences * work.calibration_length;
  const std::uint64_t evaluation = work.evaluation_windows * work.evaluation_length;
  const std::uint64_t state = config.hidden_size * 2;
  const std::uint64_t compared = work.compares && variants > 0 ? variants - 1 : 0;
  return {
      .tokens = (calibration + evaluation) * sizeof(std::uint32_t),
      .statistics = calibration == 0 ? 0 : config.num_hidden_layers * statistics_of_layer(config),
      .scores = evaluation * (variants * kNll + compared * kDivergenceAndMark),
      .hidden = (calibration + variants * evaluation) * state,
      .reference = work.compares ? evaluation * state : 0};
}

/// Text, its tokens, and what the tokenizer makes of them in between, of a dataset read whole.
std::uint64_t dataset_memory(const Job& job) {
  std::uint64_t bytes = 0;
  for (const std::string& dataset : {job.calibration.dataset, job.evaluation.dataset}) {
    std::error_code ignored;  // token ids may be part of a file
    const std::uintmax_t size = std::filesystem::file_size(dataset, ignored);
    if (!ignored) bytes += 4 * size;
  }
  return bytes;
}

/// Host memory of a node. On each rank: the program and its libraries (with CUDA and NCCL's host
/// buffers on GPUs), tokens, two slots of 2 MiB a thread to load weights (ShardLoader) or as much
/// to write them (WeightExporter), statistics of its layers as collected, merged and packed,
/// scores, and its share of the hidden states that wait between chunks (ShardWorker::passes_) and
/// of the reference where the device has no room for it. On rank 0 beside that: the datasets, and
/// the result as gathered, packed for saved progress and written. A tenth more for what is not
/// counted. Files that the system caches it gives back.
std::uint64_t host_memory(const Job& job, const HostSizes& sizes, const Plan& plan,
                          const Shape& shape, bool is_gpu) {
  constexpr std::uint64_t kProgram = 256 * kMebibyte;
  constexpr std::uint64_t kGpuProgram = 3072 * kMebibyte;
  constexpr std::uint64_t kThread = 8 * kMebibyte;
  constexpr int kThreads = 16;
  const auto threads = static_cast<std::uint64_t>(job.runtime.threads.value_or(kThreads));
  const auto shares = static_cast<std::uint64_t>(plan.grid.sequences);
  const auto stages = static_cast<std::uint64_t>(plan.grid.layers);
  std::uint64_t rank = (is_gpu ? kGpuProgram : kProgram) + threads * kThread + sizes.tokens +
                       3 * sizes.statistics / stages + 2 * sizes.scores / shares;
  if (plan.streams()) rank += sizes.hidden / shares;
  if (!plan.keeps_reference) rank += sizes.reference / shares;
  if (!is_gpu) rank += plan.memory.total();
  const std::uint64_t first =
      dataset_memory(job) + 3 * (sizes.tokens + sizes.statistics + sizes.scores);
  const std::uint64_t all = static_cast<std::uint64_t>(shape.ranks_per_node) * rank + first;
  return all + all / 10;
}

std::uint64_t weight_elements(const ModelConfig& config) {
  const std::uint64_t embedding = config.vocab_size * config.hidden_size;
  return linear_elements(config) + embedding * (config.tie_word_embeddings ? 1 : 2);
}

/// Computing: each token that a pass takes through the layers, and for windows through the output
/// projection, twice where a recipe is compared. Reading: the weights once on each node, whose
/// cache serves its other ranks, and again to write a checkpoint.
double estimate_seconds(const ModelConfig& config, const Forecast& forecast, const Shape& shape,
                        std::uint64_t variants, double tflops) {
  const Workload& work = forecast.plan.work;
  const auto calibration =
      static_cast<double>(work.calibration_sequences * work.calibration_length);
  const auto evaluation = static_cast<double>(work.evaluation_windows * work.evaluation_length);
  const double head = 2.0 * static_cast<double>(config.vocab_size * config.hidden_size);
  const auto passes = static_cast<double>(variants);
  const double compared = work.compares ? passes - 1 : 0;
  const double flop = calibration * flop_per_token(config, work.calibration_length) +
                      evaluation * (passes * flop_per_token(config, work.evaluation_length) +
                                    (passes + compared) * head);
  const std::uint64_t weights = 2 * weight_elements(config);
  const auto nodes = static_cast<std::uint64_t>(shape.nodes);
  std::uint64_t bytes = std::min(loaded_bytes(config, forecast.plan) / nodes, weights);
  if (forecast.checkpoint_bytes > 0) bytes += (weights + forecast.checkpoint_bytes) / nodes;
  return flop / (shape.ranks() * tflops * 1e12) + static_cast<double>(bytes) / kFileRate;
}

}  // namespace

Device batch_device(const Job& job, const SiteConfig& site, std::uint64_t node_memory,
                    const Shape& shape) {
  const bool is_gpu = job.runtime.backend != "cpu";
  const auto ranks = static_cast<std::uint64_t>(shape.ranks_per_node);
  Device device = {.budget = 0, .is_gpu = is_gpu, .dequantizes = false};
  if (job.runtime.device_memory) {
    device.budget = *job.runtime.device_memory;
  } else if (is_gpu && site.gpu_memory) {
    device.budget = *site.gpu_memory / 10 * 9;
  } else if (!is_gpu && node_memory > 0) {
    device.budget = node_memory / 10 * 8 / ranks;
  } else {
    throw InputError("runtime.device_memory", "memory of a rank is not known",
                     is_gpu ? "it, or site.gpu_memory in a site file"
                            : "it, or site.memory in a site file, or sinfo on PATH",
                     "neither");
  }
  return device;
}

Forecast make_forecast(const Job& job, const Inputs& inputs, std::size_t variants,
                       const Shape& shape, const SiteConfig& site, const Device& device) {
  const ModelConfig& config = inputs.config;
  Forecast forecast;
  forecast.plan =
      make_plan(config, inputs.workload(job), job.partition.mode, shape.ranks(), device);
  forecast.budget = device.budget;
  const Plan& plan = forecast.plan;
  const HostSizes sizes = sizes_of(config, plan.work, variants);
  forecast.host_memory = host_memory(job, sizes, plan, shape, device.is_gpu);
  forecast.result_bytes = sizes.tokens + sizes.statistics + sizes.scores;
  forecast.progress_bytes = sizes.statistics + sizes.scores + (plan.streams() ? sizes.hidden : 0);
  if (!job.output.checkpoint.empty()) {
    // Linear weights in a byte, the rest in two.
    forecast.checkpoint_bytes = 2 * weight_elements(config) - linear_elements(config);
  }
  if (device.is_gpu) {
    forecast.seconds = estimate_seconds(config, forecast, shape, variants, site.gpu_tflops);
  }
  return forecast;
}

}  // namespace fp8cal
