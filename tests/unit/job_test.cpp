#include "jobs/job.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/byte_size.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using testing::Test;

constexpr const char* kComplete = R"(
[model]
path = model           # beside the job file
[calibration]
dataset = /data/c.jsonl
field = a, b
field = c
samples = 64
[evaluation]
dataset = eval.txt
windows = 7
[runtime]
device_memory = 24GiB
[output]
result = out/r.h5
)";

class JobTest : public Test {
 protected:
  Job read(const std::string& text, const std::vector<JobOption>& options = {}) {
    return read_job(folder_.write("job.ini", text), options);
  }
  TempFolder folder_;
};

TEST_F(JobTest, ReadsEveryKindOfValue) {
  const Job job = read(kComplete);
  EXPECT_EQ(job.model.path, (folder_.path() / "model").string());
  EXPECT_EQ(job.calibration.dataset, "/data/c.jsonl");
  EXPECT_EQ(job.calibration.fields, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(job.calibration.samples, 64u);
  EXPECT_EQ(job.evaluation.windows, 7u);
  EXPECT_EQ(job.runtime.device_memory, 24ull << 30);
  EXPECT_EQ(job.file_text, kComplete);
}

TEST_F(JobTest, FillsInDefaults) {
  const Job job = read(kComplete);
  EXPECT_EQ(job.calibration.sequence_length, 2048u);
  EXPECT_EQ(job.calibration.seed, 1234u);
  EXPECT_EQ(job.scales.recipes, (std::vector<std::string>{"fp8-static", "fp8-dynamic"}));
  EXPECT_EQ(job.partition.mode, "auto");
  EXPECT_FALSE(job.runtime.microbatch);
  EXPECT_FALSE(job.runtime.ranks);
  EXPECT_EQ(job.runtime.status, "");
  EXPECT_EQ(job.runtime.token_cache, "");
}

TEST_F(JobTest, PathsThatMayBeNone) {
  const auto with = [this](const std::string& lines) {
    return read(std::string(kComplete) + "\n[runtime]\n" + lines);
  };
  const Job job = with("status = s.json\ntoken_cache = t\nranks = 4\n");
  EXPECT_EQ(job.runtime.status, (folder_.path() / "s.json").string());
  EXPECT_EQ(job.runtime.token_cache, (folder_.path() / "t").string());
  EXPECT_EQ(job.runtime.ranks, 4);
  EXPECT_EQ(with("status = none\ntoken_cache = none\n").runtime.status, "");
  EXPECT_FALSE(with("ranks = any\n").runtime.ranks);
}

TEST_F(JobTest, OptionsWinAndTheirPathsStay) {
  const Job job = read(kComplete, {{"calibration.samples", "8"},
                                   {"evaluation.windows", "all"},
                                   {"scales.recipe", "fp8-dynamic"},
                                   {"output.result", "here.h5"}});
  EXPECT_EQ(job.calibration.samples, 8u);
  EXPECT_FALSE(job.evaluation.windows.has_value());
  EXPECT_EQ(job.scales.recipes, std::vector<std::string>{"fp8-dynamic"});
  EXPECT_EQ(job.output.result, "here.h5");
}

TEST_F(JobTest, OptionsAloneMakeAJob) {
  const Job job = read_job("", {{"model.path", "m"},
                                {"calibration.dataset", "c"},
                                {"evaluation.dataset", "e"},
                                {"output.result", "r"}});
  EXPECT_EQ(job.model.path, "m");
}

TEST_F(JobTest, ValuesOfAFileAlone) {
  const auto path = folder_.path() / "part.ini";
  std::ofstream(path) << "[calibration]\ndataset = a.txt, /b.txt\nseed = 1, 2\n"
                         "[runtime]\ncheckpoint = none\n";
  const auto values =
      read_job_values(path, {{"calibration.samples", "8,16"}},
                      {"calibration.dataset", "calibration.seed", "calibration.samples"})
          .by_key;
  ASSERT_EQ(values.size(), 4u);
  EXPECT_THAT(values.at("calibration.dataset"),
              testing::ElementsAre((folder_.path() / "a.txt").string(), "/b.txt"));
  EXPECT_THAT(values.at("calibration.seed"), testing::ElementsAre("1", "2"));
  EXPECT_THAT(values.at("calibration.samples"), testing::ElementsAre("8", "16"));
  EXPECT_THAT(values.at("runtime.checkpoint"), testing::ElementsAre("none"));
  EXPECT_THAT(read_job_values(path, {}).by_key.at("calibration.seed"),
              testing::ElementsAre("1, 2"));
  std::ofstream(path) << "[model]\npth = m\n";
  EXPECT_THAT(error_text([&] { read_job_values(path, {}); }), testing::HasSubstr("'model.path'"));
}

TEST_F(JobTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(error_text([&] { read("[calibration]\nsample = 3\n"); }),
              testing::HasSubstr("perhaps 'calibration.samples'"));
  EXPECT_THAT(error_text([&] {
                read(kComplete, {{"model.pth", "x"}});
              }),
              testing::HasSubstr("perhaps 'model.path'"));
  EXPECT_THAT(error_text([&] { read("no equals sign\n"); }), testing::HasSubstr("job.ini"));
  EXPECT_THAT(error_text([&] { read_job(folder_.path() / "none.ini", {}); }),
              testing::HasSubstr("none.ini"));
}

TEST_F(JobTest, RefusesBadValues) {
  const auto with = [&](const char* key, const char* value) {
    return error_text([&] { read(kComplete, {{key, value}}); });
  };
  EXPECT_THAT(with("calibration.samples", "-1"), testing::HasSubstr("whole number from 1"));
  EXPECT_THAT(with("calibration.samples", "12x"), testing::HasSubstr("'12x'"));
  EXPECT_THAT(with("calibration.samples", ""), testing::HasSubstr("no value"));
  EXPECT_THAT(with("scales.recipe", "fp4"),
              testing::HasSubstr("fp8-static, fp8-channel, fp8-dynamic"));
  EXPECT_THAT(with("scales.policy", "magic"), testing::HasSubstr("amax"));
  EXPECT_THAT(with("runtime.device_memory", "lots"), testing::HasSubstr("80GiB"));
  EXPECT_THAT(error_text([&] { read("[model]\npath = a\npath = b\n"); }),
              testing::HasSubstr("given twice"));
  EXPECT_THAT(error_text([&] { read("[model]\npath = a\n"); }),
              testing::HasSubstr("missing key 'evaluation.dataset'"));
  EXPECT_THAT(with("scales.kv", "fp8"), testing::HasSubstr("e4m3-head"));
  EXPECT_THAT(with("scales.kv", "e4m3,e4m3"), testing::HasSubstr("twice"));
  EXPECT_THAT(with("scales.recipe", "fp8-static-kv-e4m3"), testing::HasSubstr("fp8-weight-only"));
  for (const char* limit : {"-1", "inf", "nan", "0.1x", "some"}) {
    EXPECT_THAT(with("evaluation.max_kl", limit), testing::HasSubstr("a number from 0 on"))
        << limit;
  }
  EXPECT_THAT(with("output.checkpoint_recipe", "fp8-channel"),
              testing::HasSubstr("one of fp8-static, fp8-dynamic"));
  EXPECT_THAT(with("output.checkpoint_format", "gguf"), testing::HasSubstr("modelopt"));
}

TEST_F(JobTest, RecipesTakeEachKindOfKeysAndValues) {
  const Job job = read(kComplete, {{"scales.recipe", "fp8-dynamic, fp8-weight-only"},
                                   {"scales.kv", "none, e4m3-head"},
                                   {"evaluation.max_delta_ppl", "0.25"}});
  EXPECT_THAT(job.scales.recipes,
              testing::ElementsAre("fp8-dynamic", "fp8-dynamic-kv-e4m3-head", "fp8-weight-only",
                                   "fp8-weight-only-kv-e4m3-head"));
  EXPECT_EQ(job.output.checkpoint_recipe, "fp8-dynamic");
  EXPECT_EQ(job.evaluation.max_delta_ppl, 0.25);
  EXPECT_EQ(job.evaluation.max_kl, std::nullopt);
  EXPECT_TRUE(job.evaluation.compare);
}

TEST(JobHelp, DocumentsEveryKey) {
  const std::string text = describe_job_keys();
  for (const char* word : {"[model]", "[runtime]", "samples", "default 256", "required"}) {
    EXPECT_THAT(text, testing::HasSubstr(word));
  }
}

TEST(ByteSize, ParsesAndFormats) {
  EXPECT_EQ(parse_byte_size("80GiB"), 80ull << 30);
  EXPECT_EQ(parse_byte_size("512"), 512u);
  EXPECT_EQ(parse_byte_size("0"), std::nullopt);
  EXPECT_EQ(parse_byte_size("GiB"), std::nullopt);
  EXPECT_EQ(parse_byte_size("-1MiB"), std::nullopt);
  EXPECT_EQ(parse_byte_size("99999999999TiB"), std::nullopt);
  EXPECT_EQ(format_byte_size(3ull << 29), "1.5 GiB");
  EXPECT_EQ(format_byte_size(100), "100 bytes");
}

}  // namespace
}  // namespace fp8cal
