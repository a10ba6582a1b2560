#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "coordinator/profile/measure.hpp"
#include "coordinator/profile/repeated_runs.hpp"
#include "error_text.hpp"
#include "kernels/backend.hpp"
#include "sharding/decoder_memory.hpp"
#include "temp_folder.hpp"
#include "tiny_model.hpp"

/// Open MPI keeps memory to its end, in components that are gone before a leak could be traced to
/// them.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace fp8cal {
namespace {

class Mpi : public testing::Environment {
 public:
  void SetUp() override { MPI_Init(nullptr, nullptr); }
  void TearDown() override { MPI_Finalize(); }
};
const auto* const kMpi = testing::AddGlobalTestEnvironment(new Mpi);

class MeasureTest : public testing::Test {
 protected:
  MeasureTest() { write_tiny_model(folder_.path()); }

  LatencyProfile measured(const ProfileRequest& request) {
    SilentProgress progress;
    return measure(request, control_, MPI_COMM_SELF, progress);
  }
  ProfileRequest request() const {
    return {.model = folder_.path(),
            .scales = {},
            .variants = {"bf16", "fp8-static"},
            .kv = {"bf16", "e4m3"},
            .prompts = {kFewRows, kFewRows + 1},
            .decode_batches = {1, 3},
            .contexts = {10, 200},
            .backend = "cpu",
            .device_memory = std::uint64_t{256} << 20,
            .threads = 1};
  }

  TempFolder folder_;
  const Control control_{MPI_COMM_SELF};
};

/// Calls that do nothing but quantize or dequantize.
std::size_t casts_in_each_layer(const PassKey& key) {
  if (key.decodes) return 0;
  const std::size_t kept = key.kv == "bf16" ? 0 : 2;  // keys and values, to be attended to
  if (key.variant == "bf16") return kept;
  return kept + (key.tokens <= kFewRows ? 1 : 4);  // of few rows only what attention gives
}

TEST_F(MeasureTest, MeasuresEveryPassOnce) {
  const LatencyProfile profile = measured(request());
  EXPECT_EQ(profile.backend, "cpu");
  EXPECT_EQ(profile.places.size(), 1u);
  EXPECT_TRUE(profile.native_fp8);
  EXPECT_TRUE(profile.unfit.empty());
  EXPECT_LE(profile.peak_bytes, profile.planned_bytes);
  EXPECT_GT(profile.ceilings.bytes_per_s, 0);
  EXPECT_GT(profile.ceilings.bf16_flop_per_s, 0);
  EXPECT_GT(profile.ceilings.fp8_flop_per_s, 0);
  EXPECT_EQ(profile.ceilings.gather_bytes_per_s, 0);

  ASSERT_EQ(profile.checks.size(), 4u);
  for (const DecodeCheck& check : profile.checks) {
    EXPECT_EQ(check.tokens, 64u);
    EXPECT_TRUE(check.same_bits) << check.variant << " " << check.kv;
    EXPECT_EQ(check.mean_difference, 0);
    EXPECT_EQ(check.most_difference, 0);
  }

  ASSERT_EQ(profile.passes.size(), 2u * 2 * (2 + 2 * 2));
  std::set<PassKey> keys;
  for (const ProfiledPass& pass : profile.passes) {
    keys.insert(pass.key);
    EXPECT_GT(pass.latency.median, 0);
    EXPECT_GE(pass.latency.p95, pass.latency.median);
    EXPECT_GE(pass.latency.runs, pass.key.decodes ? 20u : 5u);
    double sum = 0;
    for (const CauseTime& cause : pass.causes) sum += cause.seconds;
    EXPECT_NEAR(sum, pass.latency.median, 1e-9);
    const auto calls = [&](Cause cause) {
      return pass.causes[static_cast<std::size_t>(cause)].calls;
    };
    EXPECT_EQ(calls(Cause::products), 4u * 2 + 1);
    EXPECT_EQ(calls(Cause::scaling), casts_in_each_layer(pass.key) * 2);
    EXPECT_EQ(calls(Cause::attention), pass.key.decodes ? 2u : 2u * 2);
  }
  EXPECT_EQ(keys.size(), profile.passes.size());
}

TEST_F(MeasureTest, LeavesOutWhatDoesNotFit) {
  ProfileRequest wanted = request();
  wanted.variants = {"bf16"};
  wanted.kv = {"bf16", "e4m3"};
  wanted.prompts = {30};
  wanted.decode_batches = {1, 50};
  wanted.contexts = {200};
  const ModelConfig config = read_model_config(folder_.path());
  // Fifty sequences fit with their keys and values in FP8 only.
  wanted.device_memory =
      decoder_memory(config, {}, {50, 200, 0, DType::e4m3}, 1, {}).total() + 1000;
  const LatencyProfile profile = measured(wanted);
  EXPECT_EQ(profile.passes.size(), 5u);
  ASSERT_EQ(profile.unfit.size(), 1u);
  EXPECT_EQ(profile.unfit[0].key, (PassKey{true, "bf16", "bf16", 50, 200}));
  EXPECT_GT(profile.unfit[0].needed_bytes, wanted.device_memory);
  EXPECT_EQ(profile.unfit[0].budget_bytes, wanted.device_memory);
  EXPECT_LE(profile.peak_bytes, wanted.device_memory);

  wanted.kv = {"bf16"};
  wanted.decode_batches = {50};  // no batch at all
  const LatencyProfile prompts = measured(wanted);
  ASSERT_EQ(prompts.passes.size(), 1u);
  EXPECT_FALSE(prompts.passes[0].key.decodes);
  EXPECT_EQ(prompts.unfit.size(), 1u);
}

TEST_F(MeasureTest, RefusesPromptsThatDoNotFit) {
  ProfileRequest wanted = request();
  wanted.device_memory = 100000;
  EXPECT_THAT(error_text([&] { measured(wanted); }),
              testing::HasSubstr("runtime.device_memory: too little for a prompt of any length"));
}

TEST_F(MeasureTest, RefusesWhatIsNoModelOrResult) {
  ProfileRequest wanted = request();
  wanted.scales = folder_.path() / "config.json";
  EXPECT_THAT(error_text([&] { measured(wanted); }), testing::HasSubstr("config.json"));
  wanted.model = folder_.path() / "nothing";
  EXPECT_THAT(error_text([&] { measured(wanted); }), testing::HasSubstr("nothing"));
}

TEST_F(MeasureTest, RunsAreCountedAfterWarmUp) {
  std::size_t prepared = 0, runs = 0, times_a_run = 1;
  const auto count = [&](const Repetition& repetition) {
    prepared = runs = 0;
    const auto run = [&] {
      ++runs;
      const double seconds =
          seconds_of([] { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
      return std::vector<double>(times_a_run, seconds);
    };
    const std::size_t counted = repeat_runs(
                                    control_, repetition, [&] { ++prepared; }, run)
                                    .size();
    EXPECT_GE(prepared, runs);
    return counted;
  };
  EXPECT_EQ(count({.warm_up = 3, .least = 5, .most = 20, .seconds = 60}), 20u);
  EXPECT_EQ(runs, 3u + 20);
  EXPECT_EQ(count({.warm_up = 3, .least = 5, .most = 20, .seconds = 0.001}), 5u);
  EXPECT_EQ(runs, 1u + 5);
  EXPECT_EQ(count({.warm_up = 0, .least = 5, .most = 20, .seconds = 0.001, .most_seconds = 0.001}),
            kFewest);
  EXPECT_EQ(count({.warm_up = 0, .least = 1, .most = 2, .seconds = 60}), 2u);
  times_a_run = 4;
  EXPECT_EQ(count({.warm_up = 2, .least = 5, .most = 10, .seconds = 60}), 12u);
  EXPECT_EQ(runs, 2u + 3);
}

}  // namespace
}  // namespace fp8cal
