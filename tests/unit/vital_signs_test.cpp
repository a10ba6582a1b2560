#include "sharding/vital_signs.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fp8cal {
namespace {

TEST(VitalSigns, TellThePosition) {
  VitalSigns signs;
  EXPECT_EQ(position_of(signs), "at the start");
  signs.stage.write("calibrate layers 0-3");
  EXPECT_EQ(position_of(signs), "in calibrate layers 0-3");
  signs.layer = 2;
  EXPECT_EQ(position_of(signs), "in calibrate layers 0-3, layer 2");
}

TEST(VitalSigns, CutLongLines) {
  SharedLine line;
  line.write(std::string(1000, 'a'));
  EXPECT_EQ(line.read(), std::string(255, 'a'));
  line.write("b");
  EXPECT_EQ(line.read(), "b");
}

TEST(VitalSigns, CountTheEndOfAWait) {
  const std::uint64_t before = vital_signs().progress;
  {
    const Waiting outer;
    const Waiting inner;
    EXPECT_EQ(vital_signs().waiting, 2);
    EXPECT_EQ(vital_signs().progress, before);
  }
  EXPECT_EQ(vital_signs().waiting, 0);
  EXPECT_EQ(vital_signs().progress, before + 2);
}

TEST(VitalSigns, OutliveTheProcess) {
  share_vital_signs();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    tell_stage("evaluate bf16");
    tell_layer(7);
    const Waiting waiting;
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(position_of(vital_signs()), "in evaluate bf16, layer 7");
  EXPECT_EQ(vital_signs().progress, 2u);
  EXPECT_EQ(vital_signs().waiting, 1);
}

}  // namespace
}  // namespace fp8cal
