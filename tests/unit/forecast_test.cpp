#include "coordinator/submission/forecast.hpp"

#include <gmock/gmock.h>

#include "coordinator/computation.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/nano_config.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kGibibyte = std::uint64_t{1} << 30;

Job small_job() {
  Job job;
  job.scales.recipes = {"fp8-static"};
  job.partition.mode = "auto";
  job.runtime.backend = "cuda";
  job.evaluation.compare = true;
  return job;
}

Inputs small_inputs() {
  Inputs inputs;
  inputs.config = nano_config();
  inputs.calibration = {.sequence_length = 64, .tokens = std::vector<std::uint32_t>(64 * 8)};
  inputs.evaluation = {.sequence_length = 128, .tokens = std::vector<std::uint32_t>(128 * 4)};
  return inputs;
}

Forecast forecast(const Job& job, const Shape& shape, const Device& device,
                  const SiteConfig& site = {}) {
  const Inputs inputs = small_inputs();
  return make_forecast(job, inputs, evaluated_variants(job, inputs.config).size(), shape, site,
                       device);
}

TEST(BatchDevice, IsWhatTheJobOrTheSiteOrTheNodeHas) {
  Job job = small_job();
  SiteConfig site;
  EXPECT_THAT(error_text([&] { batch_device(job, site, 64 * kGibibyte, {}); }),
              HasSubstr("expected it, or site.gpu_memory in a site file"));
  site.gpu_memory = 80 * kGibibyte;
  EXPECT_EQ(batch_device(job, site, 0, {}).budget, 72 * kGibibyte);
  EXPECT_TRUE(batch_device(job, site, 0, {}).is_gpu);
  job.runtime.backend = "cpu";
  EXPECT_EQ(batch_device(job, site, 100 * kGibibyte, {2, 4}).budget, 20 * kGibibyte);
  EXPECT_FALSE(batch_device(job, site, 100 * kGibibyte, {}).is_gpu);
  EXPECT_THAT(error_text([&] { batch_device(job, site, 0, {}); }), HasSubstr("or sinfo on PATH"));
  job.runtime.device_memory = kGibibyte;
  EXPECT_EQ(batch_device(job, site, 0, {}).budget, kGibibyte);
}

TEST(Forecast, CountsWhatIsWritten) {
  Job job = small_job();
  const Device device = {.budget = 8 * kGibibyte, .is_gpu = true, .dequantizes = false};
  const Forecast none = forecast(job, {}, device);
  // 1024 tokens; 4 layers of 6 histograms, 1664 channels (128 + 512 + 128 + 384 + 256 + 256) and
  // 2048 output rows (512 + 512 + 2 * 128 + 2 * 384); BF16's and one recipe's scores.
  const std::uint64_t tokens = 1024 * 4;
  const std::uint64_t statistics = 4 * (6 * 32768 * 8 + 1664 * 4 + 2048 * 4);
  const std::uint64_t scores = 512 * (4 + 4 + 5);
  EXPECT_EQ(none.result_bytes, tokens + statistics + scores);
  EXPECT_EQ(none.progress_bytes, statistics + scores);
  EXPECT_EQ(none.checkpoint_bytes, 0u);
  job.output.checkpoint = "out";
  // 4 layers of 128 * (512 + 512) + 512 * 128 + 3 * 128 * 384 elements in a byte, twice 1024 * 128
  // in two.
  EXPECT_EQ(forecast(job, {}, device).checkpoint_bytes, 4u * 344064 + 4u * 131072);
}

TEST(Forecast, CountsWeightsOnTheHostOnCpusOnly) {
  Job job = small_job();
  job.runtime.threads = 1;
  const Device gpu = {.budget = 8 * kGibibyte, .is_gpu = true, .dequantizes = false};
  Device cpu = gpu;
  cpu.is_gpu = false;
  job.runtime.backend = "cpu";
  const Forecast one = forecast(job, {1, 1}, cpu);
  const Forecast two = forecast(job, {1, 2}, cpu);
  EXPECT_FALSE(one.seconds);
  EXPECT_GT(one.host_memory, one.plan.memory.total() + (std::uint64_t{256} << 20));
  EXPECT_GT(two.host_memory, one.host_memory + two.plan.memory.total());
  EXPECT_EQ(forecast(job, {2, 1}, cpu).plan.ranks.size(), 2u);
  EXPECT_GT(forecast(job, {1, 1}, gpu).host_memory, 3 * kGibibyte);
}

TEST(Forecast, TakesTheTimeOfComputingAndReading) {
  Job job = small_job();
  job.evaluation.compare = false;
  SiteConfig site;
  site.gpu_tflops = 1e-6;  // a million operations a second: reading takes next to no time
  const Device device = {.budget = 8 * kGibibyte, .is_gpu = true, .dequantizes = false};
  // Twice 1376256 elements a token, and attention of 4 * 4 * 512 * length / 2; two variants, each
  // with twice 1024 * 128 a token.
  const double calibration = 512.0 * (2752512 + 4096 * 64);
  const double evaluation = 2 * 512.0 * (2752512 + 4096 * 128 + 262144);
  EXPECT_NEAR(*forecast(job, {1, 1}, device, site).seconds, (calibration + evaluation) / 1e6, 1);
  EXPECT_NEAR(*forecast(job, {2, 2}, device, site).seconds, (calibration + evaluation) / 4e6, 1);
}

}  // namespace
}  // namespace fp8cal
