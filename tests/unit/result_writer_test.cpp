#include "jobs/result_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "jobs/content_digest.hpp"
#include "jobs/error.hpp"
#include "jobs/hdf5.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using hdf5::Handle;
using ::testing::ElementsAre;

ActivationStatistics statistics_of(std::size_t samples) {
  ActivationStatistics statistics;
  statistics.histogram.assign(32768, 0);
  statistics.histogram[0] = 10;
  statistics.histogram[0x4060] = 3;  // 3.5
  statistics.channel_amax = {3.5f, 0.0f, 0.25f};
  std::vector<float> sequence_amax(samples, 0.5f);
  sequence_amax[40 % samples] = 3.5f;
  statistics.snapshots = snapshots_of(sequence_amax);
  return statistics;
}

Result small_result(std::size_t samples = 70) {
  Result result;
  result.provenance = {{"host", "n1"}, {"gpus", std::vector<std::string>{"a", "bb"}}};
  result.job = {{"seed", std::int64_t{1234}}, {"rms_norm_eps", 1e-5}};
  result.calibration = {2, std::vector<std::uint32_t>(2 * samples, 7)};
  result.evaluation = {4, {1, 2, 3, 4, 5, 6, 7, 8}};
  result.sample_ids.resize(samples);
  std::iota(result.sample_ids.begin(), result.sample_ids.end(), 100);
  result.activations["layers.0.q_proj"] = statistics_of(samples);
  result.activation_aliases = {{"layers.0.k_proj", "layers.0.q_proj"}};
  result.weights["layers.0.q_proj"].channel_amax = {1.0f, 2.0f};
  result.scales["fp8-static"]["layers.0.q_proj"] = {{2.0f / 448.0f}, {3.5f / 448.0f}, {}, {}};
  result.scales["fp8-dynamic"]["layers.0.q_proj"] = {{1.0f / 448.0f, 2.0f / 448.0f}, {}, {}, {}};
  result.perplexity["bf16"] = {2, 3, {0.5f, 1.0f, 1.5f, 2.0f, 2.5f, 3.0f}, {}, {}};
  return result;
}

class ResultWriterTest : public ::testing::Test {
 protected:
  std::vector<float> floats(const Handle& file, const std::string& name) const {
    const Handle dataset = hdf5::open_dataset(file, name);
    EXPECT_GT(H5Tequal(hdf5::type_of(dataset).id(), H5T_IEEE_F32LE), 0) << name;
    std::vector<float> values(hdf5::count_of(hdf5::shape_of(dataset, 1 << 20)));
    hdf5::read_elements(dataset, H5T_NATIVE_FLOAT, values.data());
    return values;
  }

  TempFolder temporary_;
  fs::path path_ = temporary_.path() / "result.h5";
};

H5O_info_t info_of(const Handle& file, const std::string& name) {
  const Handle object(FP8CAL_HDF5(H5Oopen(file.id(), name.c_str(), H5P_DEFAULT)));
  H5O_info_t info;
  FP8CAL_HDF5(H5Oget_info(object.id(), &info));
  return info;
}

std::string units_of(const Handle& file, const std::string& name) {
  return hdf5::read_string_attribute(hdf5::open_dataset(file, name), "units", 64);
}

TEST(Perplexity, IsTheExponentialOfTheMeanInTokenOrder) {
  EXPECT_EQ((Perplexity{1, 3, {1.0f, 2.0f, 3.0f}}).ppl(), std::exp(2.0));
  // In float, 2^24 + 1 is 2^24; in double the ones count.
  EXPECT_EQ((Perplexity{1, 3, {16777216.0f, 1.0f, -16777216.0f}}).ppl(), std::exp(1.0 / 3.0));
  EXPECT_THROW(Perplexity{}.ppl(), std::invalid_argument);
}

TEST_F(ResultWriterTest, WritesTheDocumentedLayout) {
  const std::string digest = write_result(small_result(), path_);
  const Handle file = hdf5::open_read_only(path_);
  EXPECT_EQ(hdf5::read_string_attribute(file, "format", 64), "fp8cal");
  EXPECT_EQ(hdf5::read_string_attribute(file, "content_digest", 64), digest);
  EXPECT_EQ(content_digest(file), digest);
  const Handle job(FP8CAL_HDF5(H5Oopen(file.id(), "job", H5P_DEFAULT)));
  const Handle seed(FP8CAL_HDF5(H5Aopen(job.id(), "seed", H5P_DEFAULT)));
  std::int64_t seed_value = 0;
  hdf5::read_elements(seed, H5T_NATIVE_INT64, &seed_value);
  EXPECT_EQ(seed_value, 1234);
  const Handle evaluation = hdf5::open_dataset(file, "job/evaluation_tokens");
  EXPECT_THAT(hdf5::shape_of(evaluation, 100), ElementsAre(2, 4));
  EXPECT_THAT(hdf5::read_integers(file, "job/evaluation_tokens", 100),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(hdf5::read_integers(file, "job/sample_ids", 100).at(69), 169);
  EXPECT_EQ(hdf5::read_integers(file, "job/calibration_tokens", 140).size(), 140u);
}

TEST_F(ResultWriterTest, WritesStatistics) {
  write_result(small_result(), path_);
  const Handle file = hdf5::open_read_only(path_);
  const std::string group = "activations/layers.0.q_proj/";
  EXPECT_EQ(hdf5::read_integers(file, group + "histogram", 32768).at(0x4060), 3);
  EXPECT_THAT(floats(file, group + "amax"), ElementsAre(3.5f));
  EXPECT_THAT(floats(file, group + "channel_amax"), ElementsAre(3.5f, 0.0f, 0.25f));
  // The sequence with 3.5 is the 41st of 70.
  EXPECT_THAT(floats(file, group + "amax_after"), ElementsAre(0.5f, 3.5f));
  EXPECT_THAT(hdf5::read_integers(file, group + "amax_after_sequences", 5), ElementsAre(32, 64));
  EXPECT_EQ(units_of(file, group + "histogram"), "elements");
  EXPECT_EQ(units_of(file, group + "amax_after_sequences"), "sequences");
  EXPECT_THAT(floats(file, "weights/layers.0.q_proj/amax"), ElementsAre(2.0f));
  EXPECT_THAT(floats(file, "weights/layers.0.q_proj/channel_amax"), ElementsAre(1.0f, 2.0f));
}

TEST_F(ResultWriterTest, WritesScalesAndPerplexity) {
  write_result(small_result(), path_);
  const Handle file = hdf5::open_read_only(path_);
  EXPECT_THAT(floats(file, "scales/fp8-static/layers.0.q_proj/input_scale"),
              ElementsAre(3.5f / 448.0f));
  EXPECT_EQ(floats(file, "scales/fp8-dynamic/layers.0.q_proj/weight_scale").size(), 2u);
  EXPECT_THROW(hdf5::open_dataset(file, "scales/fp8-dynamic/layers.0.q_proj/input_scale"),
               InputError);
  EXPECT_THAT(hdf5::shape_of(hdf5::open_dataset(file, "perplexity/bf16/nll"), 6),
              ElementsAre(2, 3));
  EXPECT_EQ(units_of(file, "perplexity/bf16/nll"), "nats");
  const Handle group(FP8CAL_HDF5(H5Oopen(file.id(), "perplexity/bf16", H5P_DEFAULT)));
  const Handle ppl(FP8CAL_HDF5(H5Aopen(group.id(), "ppl", H5P_DEFAULT)));
  const Handle tokens(FP8CAL_HDF5(H5Aopen(group.id(), "tokens", H5P_DEFAULT)));
  double ppl_value = 0;
  std::int64_t token_count = 0;
  hdf5::read_elements(ppl, H5T_NATIVE_DOUBLE, &ppl_value);
  hdf5::read_elements(tokens, H5T_NATIVE_INT64, &token_count);
  EXPECT_EQ(ppl_value, std::exp(1.75));
  EXPECT_EQ(token_count, 6);
}

TEST_F(ResultWriterTest, AliasesAreHardLinksAndNothingCarriesATime) {
  write_result(small_result(), path_);
  const Handle file = hdf5::open_read_only(path_);
  const H5O_info_t stored = info_of(file, "activations/layers.0.q_proj");
  EXPECT_EQ(stored.addr, info_of(file, "activations/layers.0.k_proj").addr);
  EXPECT_EQ(stored.rc, 2u);
  for (const char* name : {"/", "job", "job/sample_ids", "activations/layers.0.q_proj/amax"}) {
    EXPECT_EQ(info_of(file, name).ctime, 0) << name;
  }
}

TEST_F(ResultWriterTest, TheDigestDependsOnTheJobAndNotOnTheProvenance) {
  const std::string digest = write_result(small_result(), path_);
  Result result = small_result();
  result.provenance = {{"host", "another"}, {"ranks", std::int64_t{8}}};
  EXPECT_EQ(write_result(result, path_), digest);
  result.job["seed"] = std::int64_t{1235};
  EXPECT_NE(write_result(result, path_), digest);
  result = small_result();
  result.perplexity["bf16"].nll[5] = std::nextafter(3.0f, 4.0f);
  EXPECT_NE(write_result(result, path_), digest);
  result = small_result();
  result.activations["layers.0.q_proj"].histogram[1] = 1;
  EXPECT_NE(write_result(result, path_), digest);
}

TEST_F(ResultWriterTest, FewSamplesHaveNoSnapshots) {
  write_result(small_result(8), path_);
  const Handle file = hdf5::open_read_only(path_);
  EXPECT_TRUE(floats(file, "activations/layers.0.q_proj/amax_after").empty());
}

TEST_F(ResultWriterTest, AnEmptyResultIsAResult) {
  write_result(Result{}, path_);
  const Handle file = hdf5::open_read_only(path_);
  EXPECT_THAT(hdf5::shape_of(hdf5::open_dataset(file, "job/calibration_tokens"), 1),
              ElementsAre(0, 0));
}

TEST_F(ResultWriterTest, RefusesPartsThatDoNotFitAndKeepsTheOldFile) {
  const std::string digest = write_result(small_result(), path_);
  const auto refuses = [&](const auto& spoil) {
    Result result = small_result();
    spoil(result);
    EXPECT_THROW(write_result(result, path_), std::invalid_argument);
  };
  refuses([](Result& r) { r.activations["layers.0.q_proj"].histogram.pop_back(); });
  refuses([](Result& r) { r.activations["layers.0.q_proj"].snapshots.back().sequences = 71; });
  refuses([](Result& r) { r.activation_aliases["layers.0.v_proj"] = "layers.0.k_proj"; });
  refuses([](Result& r) { r.activation_aliases["layers.0.q_proj"] = "layers.0.q_proj"; });
  refuses([](Result& r) { r.perplexity["bf16"].nll.pop_back(); });
  refuses([](Result& r) { r.perplexity["bf16"].windows = 1; });
  refuses([](Result& r) { r.perplexity["bf16"] = {}; });
  refuses([](Result& r) { r.evaluation.tokens.pop_back(); });
  refuses([](Result& r) { r.sample_ids.pop_back(); });
  refuses([](Result& r) { r.weights["a/b"] = {}; });
  refuses([](Result& r) { r.scales[""] = {}; });
  refuses([](Result& r) { r.job["nul"] = std::string(1, '\0'); });
  EXPECT_EQ(content_digest(hdf5::open_read_only(path_)), digest);
}

TEST_F(ResultWriterTest, AnUnwritablePathIsNamed) {
  const fs::path missing = temporary_.path() / "missing" / "result.h5";
  try {
    write_result(small_result(), missing);
    FAIL() << "wrote into a missing folder";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::failed);
    EXPECT_THAT(error.what(), ::testing::HasSubstr((temporary_.path() / "missing").string()));
  }
}

}  // namespace
}  // namespace fp8cal
