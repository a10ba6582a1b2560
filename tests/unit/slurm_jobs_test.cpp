#include "coordinator/status/slurm_jobs.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "coordinator/submission/run_folder.hpp"

namespace fp8cal {
namespace {

/// As `squeue -h -O` pads and cuts, with the widths of ask_squeue.
std::string line(const std::string& id, const std::string& task, const std::string& name,
                 const std::string& comment, const std::string& nodes) {
  return fmt::format(
      "{:<24}{:<24}{:<24}{:<128}{:<16}{:<24}{:<24}{:<24}{:<32}{:<256}{:<4608}{:<16}\n", id, task,
      "RUNNING", "None", "1", "3:12", "10:00", "4294901757", "2026-01-01T00:00:00", name, comment,
      nodes);
}

TEST(SlurmJobs, ColumnsOfSqueue) {
  const std::string nodes = "n[1-2],a-rather-long-name-of-a-node[001-128]";
  const auto jobs = parse_squeue(line("123", "N/A", "two words", "fp8cal /a b/r.h5.slurm", nodes) +
                                 line("120", "3", "", "(null)", ""));
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, "123");
  EXPECT_FALSE(jobs[0].task);
  EXPECT_EQ(jobs[0].state, "RUNNING");
  EXPECT_EQ(jobs[0].reason, "None");
  EXPECT_EQ(jobs[0].restarts, "1");
  EXPECT_EQ(jobs[0].time_left, "3:12");
  EXPECT_EQ(jobs[0].time_limit, "10:00");
  EXPECT_EQ(jobs[0].priority, "4294901757");
  EXPECT_EQ(jobs[0].start, "2026-01-01T00:00:00");
  EXPECT_EQ(jobs[0].name, "two words");
  EXPECT_EQ(jobs[0].comment, "fp8cal /a b/r.h5.slurm");
  EXPECT_EQ(jobs[0].nodes, nodes);
  EXPECT_EQ(jobs[1].id, "120_3");
  EXPECT_EQ(jobs[1].task, 3u);
  EXPECT_EQ(jobs[1].nodes, "");
}

TEST(SlurmJobs, LinesThatAreShortOrOthers) {
  EXPECT_TRUE(parse_squeue("").empty());
  EXPECT_TRUE(parse_squeue("\n\n").empty());
  const auto jobs = parse_squeue("123\nslurm_load_jobs error: Unable to contact the controller\n");
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].id, "123");
  EXPECT_EQ(jobs[0].state, "");
  EXPECT_EQ(folder_in_comment(jobs[1].comment), "");
  // Tasks that are not told one by one are no task.
  EXPECT_FALSE(parse_squeue(line("120", "4-7%2", "", "", ""))[0].task);
}

TEST(SlurmJobs, Ids) {
  for (const char* id : {"1", "123", "120_3", "4294967295_4000000"}) {
    EXPECT_TRUE(is_slurm_id(id)) << id;
  }
  for (const char* other :
       {"", "_", "1_", "_1", "1_2_3", "1.0", "-1", "job.ini", "12345678901", "1 2", "1\n"}) {
    EXPECT_FALSE(is_slurm_id(other)) << other;
  }
}

TEST(SlurmJobs, FolderInTheComment) {
  EXPECT_EQ(folder_in_comment("fp8cal /data/out/a b.h5.slurm"), "/data/out/a b.h5.slurm");
  for (const char* other : {"", "fp8cal", "fp8cal ", "fp8cal data", "xfp8cal /data", "(null)"}) {
    EXPECT_EQ(folder_in_comment(other), "") << other;
  }
}

TEST(SlurmJobs, States) {
  for (const char* state : {"PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED"}) {
    EXPECT_FALSE(has_ended(state)) << state;
  }
  for (const char* state :
       {"COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED by 1000"}) {
    EXPECT_TRUE(has_ended(state)) << state;
  }
}

}  // namespace
}  // namespace fp8cal
