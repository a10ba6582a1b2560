#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/profile/measure.hpp"
#include "coordinator/profile/repeated_runs.hpp"
#include "error_text.hpp"
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
            .prompts = {1, 30},
            .decode_batches = {1, 3},
            .contexts = {10, 200},
            .backend = "cpu",
            .device_memory = std::uint64_t{256} << 20,
            .threads = 1};
  }

  TempFolder folder_;
  const Control control_{MPI_COMM_SELF};
};

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
    EXPECT_EQ(calls(Cause::scaling), (pass.key.variant == "bf16" ? 0u : 4u * 2) +
                                         (pass.key.kv == "bf16" || pass.key.decodes ? 0u : 2u * 2));
    EXPECT_EQ(calls(Cause::attention), 2u * 2);
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

  wanted.device_memory = 100000;  // nothing fits, and nothing is loaded
  const LatencyProfile nothing = measured(wanted);
  EXPECT_TRUE(nothing.passes.empty());
  EXPECT_TRUE(nothing.checks.empty());
  EXPECT_EQ(nothing.unfit.size(), 6u);
}

TEST_F(MeasureTest, RefusesWhatIsNoModelOrResult) {
  ProfileRequest wanted = request();
  wanted.scales = folder_.path() / "config.json";
  EXPECT_THAT(error_text([&] { measured(wanted); }), testing::HasSubstr("config.json"));
  wanted.model = folder_.path() / "nothing";
  EXPECT_THAT(error_text([&] { measured(wanted); }), testing::HasSubstr("nothing"));
}

TEST_F(MeasureTest, RunsAreCountedAfterWarmUp) {
  std::size_t prepared = 0, runs = 0;
  const auto count = [&](const Repetition& repetition) {
    prepared = runs = 0;
    return time_runs(
               control_, repetition, [&] { ++prepared; }, [&] { ++runs; })
        .size();
  };
  EXPECT_EQ(count({.warm_up = 3, .least = 5, .most = 20, .seconds = 0}), 5u);
  EXPECT_EQ(runs, 8u);
  EXPECT_GE(prepared, runs);
  EXPECT_EQ(count({.warm_up = 0, .least = 1, .most = 7, .seconds = 60}), 7u);
}

}  // namespace
}  // namespace fp8cal
