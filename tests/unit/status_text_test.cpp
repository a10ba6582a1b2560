#include "coordinator/status/status_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/status/printable.hpp"

namespace fp8cal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kThen = 1'769'817'600;  // 2026-01-31T00:00:00Z

JobView running_job() {
  JobStatus status;
  status.stage = "calibrate layers 0-31";
  status.layer = 12;
  status.unit = "sequences";
  status.done = 34;
  status.units = 128;
  status.tokens_per_second = 41000.2;
  status.seconds_left = 12.3;
  status.started = status.updated = "2026-01-31T00:00:00Z";
  status.slurm_job = "123";
  status.result = "/data/out/result.h5";
  status.checkpoint = "/data/out/result.h5.slurm/progress";
  SlurmJob slurm;
  slurm.id = "123";
  slurm.state = "RUNNING";
  slurm.restarts = "1";
  slurm.time_left = "3:12";
  slurm.time_limit = "10:00";
  slurm.name = "llama-8b";
  slurm.nodes = "n[1-2]";
  TaskView task;
  task.status = status;
  task.slurm = slurm;
  task.saved = kThen - 10;
  JobView view{.folder = "/data/out/result.h5.slurm"};
  view.tasks.push_back(task);
  return view;
}

TEST(StatusText, ARunningJob) {
  EXPECT_EQ(
      status_text(running_job(), kThen + 2),
      "job 123  llama-8b  RUNNING on n[1-2], 1 restart, 3:12 of 10:00 left\n"
      "  calibrate layers 0-31, layer 12: 34/128 sequences, 41000 tokens/s, 0:12 left of this "
      "stage (updated 2 s ago)\n"
      "  progress saved 12 s ago in /data/out/result.h5.slurm/progress\n"
      "  result /data/out/result.h5\n");
}

TEST(StatusText, APendingJob) {
  JobView view = running_job();
  TaskView& task = view.tasks.front();
  task.status.reset();
  task.status_problem = "not started";
  task.slurm->state = "PENDING";
  task.slurm->reason = "Resources";
  task.slurm->priority = "42";
  task.slurm->restarts = "0";
  task.slurm->start = "N/A";
  EXPECT_EQ(status_text(view, kThen),
            "job 123  llama-8b  PENDING (Resources), priority 42\n  not started\n");
  task.slurm->start = "2026-02-01T00:00:00";
  EXPECT_THAT(status_text(view, kThen), HasSubstr("expected to start 2026-02-01T00:00:00"));
}

TEST(StatusText, ASilentJobAndAKilledOne) {
  JobView view = running_job();
  EXPECT_THAT(status_text(view, kThen + 90), Not(HasSubstr("silent")));
  EXPECT_THAT(status_text(view, kThen + 91), HasSubstr("silent: killed"));
  view.tasks.front().slurm->state = "NODE_FAIL";
  view.tasks.front().standard_error = "/data/slurm-123.err";
  const std::string text = status_text(view, kThen + 2);
  EXPECT_THAT(text, HasSubstr("NODE_FAIL on n[1-2], 1 restart\n"));
  EXPECT_THAT(text, HasSubstr("killed, or ended without a word, in calibrate layers 0-31"));
  EXPECT_THAT(text, HasSubstr("standard error /data/slurm-123.err"));
}

TEST(StatusText, EndsOfAJobThatSlurmDoesNotKnow) {
  JobView view = running_job();
  TaskView& task = view.tasks.front();
  task.slurm.reset();
  task.saved.reset();
  task.status->state = "done";
  task.status->digest = "abcd";
  EXPECT_EQ(status_text(view, kThen),
            "job 123  Slurm does not know it any more\n  done\n  content digest abcd\n"
            "  result /data/out/result.h5\n");
  task.record = SlurmRecord{.state = "COMPLETED", .exit_code = "0:0", .comment = ""};
  EXPECT_THAT(status_text(view, kThen),
              HasSubstr("COMPLETED with exit code 0:0 (from accounting)"));
  task.record.reset();
  view.slurm_problem = "squeue: no answer within 30 s";
  task.status->state = "failed";
  task.status->exit_code = 1;
  task.status->message = "rank 2 (n1): \x1b[2Jkilled";
  const std::string text = status_text(view, kThen);
  EXPECT_THAT(text, HasSubstr("job 123  Slurm is not heard: squeue: no answer within 30 s\n"));
  EXPECT_THAT(text, HasSubstr("failed with exit code 1: rank 2 (n1): ?[2Jkilled\n"));
  task.status->state = "differs";
  EXPECT_THAT(status_text(view, kThen), HasSubstr("the audit found a difference: rank 2"));
  task.status->slurm_job.reset();
  view.slurm_problem.clear();
  EXPECT_THAT(status_text(view, kThen), HasSubstr("job  not started by Slurm\n"));
}

TEST(StatusText, AnArray) {
  JobView view = running_job();
  view.is_array = true;
  view.tasks.front().task = 0;
  view.tasks.front().slurm->id = "120_0";
  TaskView failed;
  failed.task = 1;
  failed.status = running_job().tasks.front().status;
  failed.status->slurm_job = "120_1";
  failed.status->state = "failed";
  failed.status->exit_code = 2;
  failed.status->message = "no";
  failed.standard_error = "/data/slurm-120_1.err";
  view.tasks.push_back(failed);
  view.collecting = SlurmJob{};
  view.collecting->id = "121";
  view.collecting->state = "PENDING";
  view.collecting->reason = "Dependency";
  EXPECT_EQ(status_text(view, kThen),
            "2 tasks in /data/out/result.h5.slurm\n"
            "  task 0 (120_0)  RUNNING on n[1-2], 1 restart, 3:12 of 10:00 left  calibrate layers "
            "0-31, layer 12: 34/128 sequences, 41000 tokens/s, 0:12 left of this stage (updated "
            "0 s ago)\n"
            "  task 1 (120_1)  Slurm does not know it any more  failed with exit code 2: no\n"
            "    standard error /data/slurm-120_1.err\n"
            "    result /data/out/result.h5\n"
            "  collecting job 121  PENDING (Dependency), priority \n");
}

TEST(StatusText, AsJson) {
  const auto json = status_json(running_job());
  EXPECT_EQ(json["folder"], "/data/out/result.h5.slurm");
  EXPECT_EQ(json["tasks"][0]["slurm"]["state"], "RUNNING");
  EXPECT_EQ(json["tasks"][0]["status"]["done"], 34);
  EXPECT_EQ(json["tasks"][0]["progress_saved"], kThen - 10);
  EXPECT_TRUE(json["tasks"][0]["task"].is_null());
}

TEST(Printable, OnlyText) {
  EXPECT_EQ(printable("plain \xC3\xA4"), "plain \xC3\xA4");
  EXPECT_EQ(printable("a\nb\x1b[0m\x7F\t"), "a?b?[0m??");
  EXPECT_EQ(printable("\xC2\x9B"
                      "2J\xC2\xA0"),
            "?2J\xC2\xA0");  // U+009B begins a command
  EXPECT_EQ(printable("\xFF\xC3\xA4x"), "???x");
  EXPECT_EQ(printable(""), "");
}

}  // namespace
}  // namespace fp8cal
