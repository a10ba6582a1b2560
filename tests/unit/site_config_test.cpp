#include "coordinator/submission/site_config.hpp"

#include <gmock/gmock.h>

#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SiteConfig read(const std::string& text) {
  const TempFolder folder;
  return read_site_config(folder.write("site.conf", text));
}

std::string refusal(const std::string& text) {
  return error_text([&] { read(text); });
}

TEST(SiteConfig, HasDefaults) {
  const SiteConfig site = read("[site]\n");
  EXPECT_EQ(site.launcher, "mpirun");
  EXPECT_EQ(site.bind, "auto");
  EXPECT_EQ(site.retries, 5);
  EXPECT_EQ(site.warning, 120);
  EXPECT_EQ(site.gpu_tflops, 500);
  EXPECT_FALSE(site.gpu_memory);
  EXPECT_FALSE(site.memory);
  EXPECT_TRUE(site.modules.empty());
}

TEST(SiteConfig, ReadsEveryKey) {
  const SiteConfig site = read(R"([site]
modules = cuda/12.8   openmpi/4.1  # of the site
container = apptainer exec --nv /x.sif
program = /opt/fp8 cal/fp8cal
launcher = srun
launcher_options = --mpi=pmix -v
bind = none
gpu_memory = 80GiB
gpu_tflops = 419.5
memory = 512GiB
partition = gpu
account = science
time = 1-00
retries = 0
warning = 300
)");
  EXPECT_THAT(site.modules, ElementsAre("cuda/12.8", "openmpi/4.1"));
  EXPECT_THAT(site.container, ElementsAre("apptainer", "exec", "--nv", "/x.sif"));
  EXPECT_EQ(site.program, "/opt/fp8 cal/fp8cal");
  EXPECT_EQ(site.launcher, "srun");
  EXPECT_THAT(site.launcher_options, ElementsAre("--mpi=pmix", "-v"));
  EXPECT_EQ(site.bind, "none");
  EXPECT_EQ(site.gpu_memory, std::uint64_t{80} << 30);
  EXPECT_EQ(site.gpu_tflops, 419.5);
  EXPECT_EQ(site.memory, std::uint64_t{512} << 30);
  EXPECT_EQ(site.partition, "gpu");
  EXPECT_EQ(site.account, "science");
  EXPECT_EQ(site.time, "1-00");
  EXPECT_EQ(site.retries, 0);
  EXPECT_EQ(site.warning, 300);
}

TEST(SiteConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(refusal("[site]\nmodule = a\n"), HasSubstr("perhaps 'site.modules'"));
  EXPECT_THAT(refusal("[sit]\nmodules = a\n"), HasSubstr("unknown key"));
  EXPECT_THAT(refusal("[site]\nbind = auto\nbind = none\n"), HasSubstr("given twice"));
  EXPECT_THAT(refusal("[site]\nmodules =\n"), HasSubstr("has no value"));
  EXPECT_THAT(refusal("[site]\nmodules\n"), HasSubstr("no site file"));
  EXPECT_THAT(error_text([] { read_site_config("/nowhere/site.conf"); }),
              HasSubstr("/nowhere/site.conf"));
}

TEST(SiteConfig, RefusesBadValues) {
  EXPECT_THAT(refusal("[site]\nlauncher = ssh\n"), HasSubstr("one of mpirun, srun"));
  EXPECT_THAT(refusal("[site]\nbind = yes\n"), HasSubstr("one of auto, none"));
  EXPECT_THAT(refusal("[site]\ngpu_memory = 80\xc2\xa0GB\n"), HasSubstr("site.gpu_memory"));
  for (const std::string rate : {"0", "-1", "nan", "inf", "fast", "1e9"}) {
    EXPECT_THAT(refusal("[site]\ngpu_tflops = " + rate + "\n"), HasSubstr("site.gpu_tflops"));
  }
  EXPECT_THAT(refusal("[site]\nwarning = 9\n"), HasSubstr("from 10 to 3600"));
  EXPECT_THAT(refusal("[site]\nwarning = 3601\n"), HasSubstr("from 10 to 3600"));
  EXPECT_THAT(refusal("[site]\nretries = -1\n"), HasSubstr("site.retries"));
}

}  // namespace
}  // namespace fp8cal
