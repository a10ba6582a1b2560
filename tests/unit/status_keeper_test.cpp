#include "coordinator/status/status_keeper.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <thread>

#include "coordinator/supervision/last_words.hpp"
#include "sharding/vital_signs.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

class StatusKeeperTest : public ::testing::Test {
 protected:
  StatusKeeperTest() {
    job_.runtime.status = (folder_.path() / "status.json").string();
    job_.output.result = "some/../result.h5";
  }

  JobStatus read() const { return read_status(job_.runtime.status); }

  /// Until the file says what `holds` wants, for some seconds.
  template <class Holds>
  JobStatus read_when(Holds holds) const {
    for (int i = 0; i < 500; ++i) {
      if (std::filesystem::exists(job_.runtime.status) && holds(read())) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(holds(read()));
    return read();
  }

  TempFolder folder_;
  Job job_;
};

TEST_F(StatusKeeperTest, TellsOfStagesAndOfTheEnd) {
  setenv("SLURM_JOB_ID", "123", 1);
  setenv("SLURM_RESTART_COUNT", "2", 1);
  StatusKeeper keeper(job_, 4);
  unsetenv("SLURM_RESTART_COUNT");
  unsetenv("SLURM_JOB_ID");
  tell_stage("read the datasets");
  const JobStatus first = read_when([](const JobStatus&) { return true; });
  EXPECT_EQ(first.state, "running");
  EXPECT_EQ(first.ranks, 4u);
  EXPECT_EQ(first.slurm_job, "123");
  EXPECT_EQ(first.restarts, 2u);
  EXPECT_EQ(first.result, (std::filesystem::current_path() / "result.h5").string());
  EXPECT_EQ(first.pid, static_cast<std::uint64_t>(getpid()));
  EXPECT_FALSE(first.exit_code);
  EXPECT_FALSE(first.checkpoint);

  keeper.begin("calibrate layers 0-3", "sequences", 8, 64);
  const auto counts = [](const JobStatus& one) { return one.unit == "sequences"; };
  EXPECT_EQ(read_when(counts).units, 8u);
  tell_layer(2);
  keeper.advance(3);
  // Without being told of anything more: the thread writes now and then.
  const JobStatus middle = read_when([](const JobStatus& one) { return one.done == 3; });
  EXPECT_EQ(middle.stage, "calibrate layers 0-3");
  EXPECT_EQ(middle.layer, 2u);
  EXPECT_GT(middle.tokens_per_second, 0);
  EXPECT_GT(middle.seconds_left, 0);

  keeper.end();
  EXPECT_EQ(read_when([](const JobStatus& one) { return one.unit.empty(); }).stage,
            "read the datasets");  // as the vital signs have it
  keeper.tell_digest("ab");
  keeper.finish(ExitCode::gate_failed, "a gate");
  const JobStatus last = read();
  EXPECT_EQ(last.state, "gate_failed");
  EXPECT_EQ(last.exit_code, 3);
  EXPECT_EQ(last.message, "a gate");
  EXPECT_EQ(last.digest, "ab");
  keeper.finish(ExitCode::done, "");
  EXPECT_EQ(read().state, "gate_failed");
}

TEST_F(StatusKeeperTest, ATaskOfAnArray) {
  setenv("SLURM_JOB_ID", "124", 1);
  setenv("SLURM_ARRAY_JOB_ID", "120", 1);
  setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  StatusKeeper keeper(job_, 1);
  for (const char* name : {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}) {
    unsetenv(name);
  }
  keeper.finish(ExitCode::done, "");
  EXPECT_EQ(read().slurm_job, "120_3");
}

TEST_F(StatusKeeperTest, WritesDownWhatEndsTheProcess) {
  EXPECT_EXIT(
      {
        StatusKeeper keeper(job_, 1);
        end_this_rank("rank 0: out of luck", 1);
      },
      testing::ExitedWithCode(1), "out of luck");
  EXPECT_EQ(read().state, "failed");
  EXPECT_EQ(read().message, "rank 0: out of luck");
}

TEST_F(StatusKeeperTest, AnUnfitMessageIsMadeFit) {
  StatusKeeper keeper(job_, 1);
  keeper.finish(ExitCode::failed, "\xFF" + std::string(100'000, 'x'));
  EXPECT_LT(read().message.size(), 10'000u);
}

TEST_F(StatusKeeperTest, AFolderThatIsNotThereIsNoFailure) {
  job_.runtime.status = (folder_.path() / "none" / "status.json").string();
  StatusKeeper keeper(job_, 1);
  keeper.begin("stage", "units", 1, 0);
  keeper.end();
  std::filesystem::create_directory(folder_.path() / "none");
  keeper.finish(ExitCode::done, "");  // the end is worth a try
  EXPECT_EQ(read().state, "done");
}

TEST_F(StatusKeeperTest, LeavesWithoutAWordWhereItIsToldOfNoEnd) {
  { StatusKeeper keeper(job_, 1); }
  EXPECT_FALSE(std::filesystem::exists(job_.runtime.status) && read().ended());
}

}  // namespace
}  // namespace fp8cal
