#include "coordinator/status/sweep_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "coordinator/status/job_status.hpp"
#include "coordinator/status/sweep_results.hpp"
#include "jobs/result_writer.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/full_result.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class SweepTest : public ::testing::Test {
 protected:
  SweepTask task(std::uint64_t number) const {
    const auto name = [&](const char* form) {
      return (folder_.path() / (form + std::to_string(number))).string();
    };
    return {.task = number, .values = {"1", "a,b"}, .result = name("r"), .status = name("s")};
  }

  void write_status(const SweepTask& task, const std::string& state, const std::string& message,
                    const std::string& digest = "") const {
    JobStatus status;
    status.state = state;
    status.message = message;
    status.started = status.updated = "2026-01-31T00:00:00Z";
    if (!digest.empty()) status.digest = digest;
    folder_.write(std::filesystem::path(task.status).filename(), to_json(status).dump());
  }

  std::string refusal(const json& sweep) const {
    return error_text([&] { read_sweep(folder_.write("sweep.json", sweep.dump())); });
  }

  static json sweep(std::size_t tasks) {
    json whole = {{"format", "fp8cal-sweep"},
                  {"version", 1},
                  {"job", "/j.ini"},
                  {"keys", {"calibration.seed", "scales.policy"}},
                  {"tasks", json::array()}};
    for (std::size_t i = 0; i < tasks; ++i) {
      whole["tasks"].push_back(
          {{"task", i}, {"values", {"1", "amax"}}, {"result", "/r"}, {"status", "/s"}});
    }
    return whole;
  }

  TempFolder folder_;
};

TEST_F(SweepTest, IsRead) {
  const SweepRecord read = read_sweep(folder_.write("sweep.json", sweep(2).dump()));
  EXPECT_EQ(read.job, "/j.ini");
  EXPECT_EQ(read.keys, (std::vector<std::string>{"calibration.seed", "scales.policy"}));
  ASSERT_EQ(read.tasks.size(), 2u);
  EXPECT_EQ(read.tasks[1].task, 1u);
  EXPECT_EQ(read.tasks[1].values, (std::vector<std::string>{"1", "amax"}));
  EXPECT_EQ(read.tasks[1].result, "/r");
}

TEST_F(SweepTest, RefusesWhatIsNone) {
  json other = sweep(2);
  other["tasks"][1]["values"] = {"1"};
  EXPECT_THAT(refusal(other),
              HasSubstr("values of task 1: expected 2, as there are keys, found 1"));
  other = sweep(2);
  other["tasks"][1]["task"] = 0;
  EXPECT_THAT(refusal(other), HasSubstr("rising numbers"));
  other = sweep(2);
  other["tasks"][0]["result"] = "r.h5";
  EXPECT_THAT(refusal(other), HasSubstr("an absolute path"));
  other = sweep(2);
  other["keys"] = {"a", 1};
  EXPECT_THAT(refusal(other), HasSubstr("keys: expected strings"));
  EXPECT_THAT(refusal(sweep(0)), HasSubstr("tasks: expected one or more"));
  other = sweep(1);
  other["format"] = "fp8cal-status";
  EXPECT_THAT(refusal(other), HasSubstr("format"));
}

TEST_F(SweepTest, ResultsAndWhyThereAreNone) {
  const std::string digest = write_result(full_result(), task(0).result);
  write_status(task(0), "done", "", digest);
  write_status(task(1), "failed", "bad \"weights\"");
  write_result(full_result(), task(1).result);  // of an earlier run
  write_result(full_result(), task(3).result);
  write_status(task(3), "done", "", std::string(64, '0'));
  folder_.write("s4", "{");
  const std::vector<std::string> keys = {"k", "l"};
  std::vector<TaskResult> read;
  for (std::uint64_t i = 0; i < 5; ++i) read.push_back(read_task_result(task(i)));
  ASSERT_EQ(read[0].recipes.size(), 1u);  // fp8-dynamic is not evaluated in it
  EXPECT_EQ(read[0].digest, digest);
  EXPECT_TRUE(read[1].recipes.empty());
  EXPECT_EQ(read[2].state, "missing");
  EXPECT_THAT(read[3].message, HasSubstr("content digest: expected 0000"));
  EXPECT_EQ(read[4].state, "unknown");
  EXPECT_EQ(missing_text({read[0]}), "");
  EXPECT_EQ(missing_text({read[0], read[1]}),
            "1 of 2 tasks has no result: task 1: failed: bad \"weights\"");
  EXPECT_THAT(missing_text(read), HasSubstr("4 of 5 tasks have no result: task 1"));

  const std::string text = aligned_text(short_table(keys, {read[0], read[1]}));
  EXPECT_EQ(text,
            "task  k  l    recipe      BF16    perplexity  difference  95 % interval       mean KL"
            "  digest        verdict\n"
            "0     1  a,b  fp8-static  5.7546  5.7546      +0.0100     -0.5000 to +0.7500  0.25000"
            "  " +
                digest.substr(0, 12) +
                "  within run-to-run variation\n"
                "1     1  a,b  failed: bad \"weights\"\n");
  EXPECT_EQ(protocol_lines({read[0], read[1]}),
            "\ntask 0: calibrated on 70 x 2 tokens (seed -1234), evaluated on 2 x 4 tokens\n");
  EXPECT_EQ(protocol_lines({read[1]}), "");
  const std::string csv = csv_text(full_table(keys, {read[0], read[1]}));
  EXPECT_THAT(csv,
              HasSubstr("task,k,l,recipe,perplexity_bf16,perplexity,difference,"
                        "difference_low,difference_high,mean_kl,verdict,calibration_dataset,"
                        "calibration_samples,calibration_sequence_length,calibration_seed,"
                        "evaluation_dataset,evaluation_windows,evaluation_sequence_length,"
                        "content_digest,state,message\r\n0,1,\"a,b\",fp8-static,5.7546026760057"));
  EXPECT_THAT(csv, HasSubstr(",0.01,-0.5,0.75,0.24999999833333333,within run-to-run variation,,"
                             "70,2,-1234,,2,4," +
                             digest + ",done,\r\n"));
  EXPECT_THAT(csv, HasSubstr("1,1,\"a,b\",,,,,,,,,,,,,,,,,failed,\"bad \"\"weights\"\"\"\r\n"));
}

}  // namespace
}  // namespace fp8cal
