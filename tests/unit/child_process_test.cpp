#include "coordinator/child_process.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "coordinator/submission/run_folder.hpp"
#include "coordinator/submission/slurm_commands.hpp"
#include "jobs/file.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::chrono::seconds kLimit{20};

Finished shell(const std::string& script, const std::vector<std::string>& environment = {}) {
  return run_program({"sh", "-c", script}, environment, kLimit);
}

TEST(RunProgram, GivesBackWhatWasSaid) {
  const Finished done = shell("echo out; echo err >&2; cat; exit 3");
  EXPECT_EQ(done.output, "out\n");
  EXPECT_EQ(done.errors, "err\n");
  EXPECT_EQ(done.status, 3);
  EXPECT_EQ(shell("kill -9 $$").status, 137);
}

TEST(RunProgram, ReadsMoreThanAPipeHolds) {
  const Finished done = shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done");
  EXPECT_EQ(done.output.size(), 20000u * 11);
}

TEST(RunProgram, PassesWordsAndEnvironmentOnAsTheyAre) {
  const Finished done = run_program(
      {"sh", "-c", "printf '%s|' \"$A\" \"$@\"", "x", "$(b)", "", "c d"}, {"A=a 'b"}, kLimit);
  EXPECT_EQ(done.output, "a 'b|$(b)||c d|");
  EXPECT_EQ(shell("env | grep -c ^HOME=").output, "0\n");
}

TEST(RunProgram, EndsWhatTakesTooLongOrSaysTooMuch) {
  const auto begin = std::chrono::steady_clock::now();
  for (const char* script : {"exec sleep 60", "exec >&- 2>&-; exec sleep 60"}) {
    EXPECT_THAT(error_text([&] {
                  run_program({"sh", "-c", script}, {}, std::chrono::seconds(1));
                }),
                HasSubstr("sh: expected an end within 1 s"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_THAT(error_text([] { run_program({"yes"}, {}, kLimit); }), HasSubstr("found more"));
}

TEST(RunProgram, SaysWhatCannotBeRun) {
  EXPECT_THAT(error_text([] { run_program({"no-such-program"}, {}, kLimit); }),
              HasSubstr("no-such-program: cannot be run: expected Slurm's commands on PATH"));
  EXPECT_FALSE(is_on_path("no-such-program"));
  EXPECT_TRUE(is_on_path("sh"));
}

TEST(JobEnvironment, HoldsNothingOfAnotherJob) {
  EXPECT_THAT(
      job_environment({"PATH=/bin", "SLURM_JOB_ID=7", "SLURM_MEM_PER_CPU=1", "SLURM_CONF=/x",
                       "SBATCH_PARTITION=p", "SBATCH_QOS=q", "SBATCH_WAIT=1", "SQUEUE_STATES=all",
                       "SINFO_PARTITION=p", "MY=SLURM_JOB_ID=1", "EMPTY="}),
      ElementsAre("PATH=/bin", "SLURM_CONF=/x", "SBATCH_QOS=q", "MY=SLURM_JOB_ID=1", "EMPTY="));
}

TEST(Refusal, IsWhatWentWrong) {
  EXPECT_EQ(refusal_of("sbatch: warning: x\nsbatch: error: Batch job submission failed: No\n"),
            "Batch job submission failed: No");
  EXPECT_EQ(refusal_of("sinfo: error: lookup\nsinfo: fatal: no source\n"), "no source");
  EXPECT_EQ(refusal_of("\n  something else \nmore"), "something else");
  EXPECT_EQ(refusal_of(""), "");
}

TEST(RunFolder, LiesBesideTheResult) {
  EXPECT_EQ(run_folder_of("/data/./out/../out/r.h5"), "/data/out/r.h5.slurm");
  EXPECT_EQ(job_comment("/data/r.h5.slurm"), "fp8cal /data/r.h5.slurm");
}

TEST(StagedFiles, LeaveNothingUnlessKept) {
  const TempFolder folder;
  const std::filesystem::path run = folder.path() / "run";
  {
    StagedFiles files(run);
    EXPECT_EQ(files.write("batch.sh", "text"), run / "batch.sh");
    EXPECT_TRUE(std::filesystem::exists(run / "batch.sh"));
  }
  EXPECT_FALSE(std::filesystem::exists(run));
  {
    StagedFiles files(run);
    files.write("batch.sh", "first");
    files.keep();
  }
  {
    StagedFiles files(run);
    files.write("batch.sh", "second");
    files.write("batch.sh", "third");
    files.write("other", "x");
  }
  EXPECT_EQ(read_text_file(run / "batch.sh", 100), "first");
  EXPECT_FALSE(std::filesystem::exists(run / "other"));
  EXPECT_THAT(error_text([&] { StagedFiles(run / "batch.sh"); }),
              HasSubstr("one that can be made"));
  EXPECT_THAT(error_text([&] { StagedFiles(run / "a" / "b"); }), HasSubstr("one that can be made"));
}

}  // namespace
}  // namespace fp8cal
