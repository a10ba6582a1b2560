#include "coordinator/status/job_status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

JobStatus some_status() {
  JobStatus status;
  status.state = "gate_failed";
  status.message = "perplexity of fp8-static: 0.4 above";
  status.exit_code = 3;
  status.stage = "calibrate layers 0-31";
  status.layer = 12;
  status.unit = "sequences";
  status.done = 34;
  status.units = 128;
  status.tokens_per_second = 41000.5;
  status.seconds_left = 12.25;
  status.started = "2026-01-31T00:00:00Z";
  status.updated = "2026-01-31T00:00:07Z";
  status.host = "n1";
  status.pid = 123;
  status.ranks = 4;
  status.partition = "layers:2+tensor:2";
  status.slurm_job = "120_3";
  status.restarts = 2;
  status.result = "/data/r.h5";
  status.checkpoint = "/data/progress";
  status.digest = "ab";
  return status;
}

class JobStatusTest : public ::testing::Test {
 protected:
  /// What is said of some_status() with this key changed.
  std::string refusal(const std::string& key, const nlohmann::json& value) {
    nlohmann::ordered_json json = to_json(some_status());
    json[key] = value;
    return error_text([&] { read_status(folder_.write("status.json", json.dump())); });
  }

  TempFolder folder_;
};

TEST_F(JobStatusTest, IsReadAsItWasWritten) {
  const auto expected = to_json(some_status());
  EXPECT_EQ(to_json(read_status(folder_.write("s", expected.dump()))), expected);
  JobStatus running;
  running.started = running.updated = "2026-02-28T23:59:59Z";
  const auto least = to_json(running);
  EXPECT_TRUE(least["layer"].is_null());
  EXPECT_TRUE(least["exit_code"].is_null());
  EXPECT_EQ(least["format"], "fp8cal-status");
  EXPECT_EQ(to_json(read_status(folder_.write("s", least.dump()))), least);
}

TEST_F(JobStatusTest, RefusesWhatIsNoStatus) {
  EXPECT_THAT(refusal("format", "fp8cal-sweep"), HasSubstr("format: expected fp8cal-status"));
  EXPECT_THAT(refusal("version", 2), HasSubstr("version"));
  EXPECT_THAT(refusal("state", "asleep"), AllOf(HasSubstr("state"), HasSubstr("\"asleep\"")));
  EXPECT_THAT(refusal("exit_code", 256), HasSubstr("exit_code"));
  EXPECT_THAT(refusal("layer", -1), HasSubstr("layer"));
  EXPECT_THAT(refusal("done", 1.5), HasSubstr("done"));
  EXPECT_THAT(refusal("units", 1e300), HasSubstr("units"));
  EXPECT_THAT(refusal("tokens_per_second", -1), HasSubstr("tokens_per_second"));
  EXPECT_THAT(refusal("updated", "yesterday"), HasSubstr("updated"));
  EXPECT_THAT(refusal("updated", nullptr), HasSubstr("updated"));
  EXPECT_THAT(refusal("digest", 7), HasSubstr("digest"));
  EXPECT_THAT(refusal("message", std::string(70'000, 'x')), HasSubstr("file size"));
  EXPECT_THAT(error_text([&] { read_status(folder_.write("s", "[]")); }), HasSubstr("an object"));
  EXPECT_THAT(error_text([&] { read_status(folder_.write("s", "")); }), HasSubstr("JSON"));
  EXPECT_THAT(error_text([&] { read_status(folder_.path() / "none"); }), HasSubstr("none"));
}

TEST(JobStatus, Times) {
  EXPECT_EQ(parse_utc("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_utc("1970-01-02T01:01:01Z"), 86400 + 3661);
  EXPECT_EQ(parse_utc("2024-02-29T00:00:00Z"), 1'709'164'800);
  for (const char* wrong : {"", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z",
                            "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z", "2024-01-01T24:00:00Z",
                            "2024-01-01T00:60:00Z", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z",
                            "+024-01-01T00:00:00Z", "2024-01-01T00:00:00Zx"}) {
    EXPECT_FALSE(parse_utc(wrong)) << wrong;
  }
}

TEST(JobStatus, StatesOfExitCodes) {
  EXPECT_EQ(state_of(ExitCode::done), "done");
  EXPECT_EQ(state_of(ExitCode::failed), "failed");
  EXPECT_EQ(state_of(ExitCode::bad_input), "failed");
  EXPECT_EQ(state_of(ExitCode::gate_failed), "gate_failed");
  EXPECT_EQ(state_of(ExitCode::audit_difference), "differs");
  EXPECT_EQ(state_of(ExitCode::progress_saved), "stopped");
}

}  // namespace
}  // namespace fp8cal
