#include "coordinator/submission/sweep.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const std::vector<std::string>& words,
                    const std::vector<JobOption>& given = {}) {
  return error_text([&] { Sweep(words, given); });
}

TEST(Sweep, IsEveryCombinationWithTheLastKeyFastest) {
  const Sweep sweep({"calibration.seed=1,2", "scales.policy=amax,mse,kl"}, {});
  ASSERT_EQ(sweep.tasks(), 6u);
  EXPECT_THAT(sweep.values(0), ElementsAre("1", "amax"));
  EXPECT_THAT(sweep.values(1), ElementsAre("1", "mse"));
  EXPECT_THAT(sweep.values(3), ElementsAre("2", "amax"));
  EXPECT_THAT(sweep.values(5), ElementsAre("2", "kl"));
  EXPECT_TRUE(sweep.has("calibration.seed"));
  EXPECT_FALSE(sweep.has("calibration.samples"));
}

TEST(Sweep, WithoutKeysIsOneTask) {
  const Sweep sweep;
  EXPECT_EQ(sweep.tasks(), 1u);
  EXPECT_TRUE(sweep.values(0).empty());
}

TEST(Sweep, JoinsAListByPlus) {
  const Sweep sweep({"scales.recipe=fp8-static+fp8-dynamic,fp8-channel"}, {});
  EXPECT_THAT(sweep.keys()[0].values, ElementsAre("fp8-static,fp8-dynamic", "fp8-channel"));
  // In what is no list, a plus is a plus.
  const Sweep grid({"partition.mode=layers:2+tensor:2"}, {});
  EXPECT_THAT(grid.keys()[0].values, ElementsAre("layers:2+tensor:2"));
}

TEST(Sweep, RefusesKeys) {
  EXPECT_THAT(refusal({"calibration.sed=1"}), HasSubstr("perhaps 'calibration.seed'"));
  for (const std::string key : {"output.result", "output.checkpoint", "runtime.status",
                                "runtime.ranks", "runtime.token_cache", "runtime.checkpoint"}) {
    EXPECT_THAT(refusal({key + "=a"}), HasSubstr("key that cannot differ from task to task"));
  }
  EXPECT_THAT(refusal({"calibration.seed=1", "calibration.seed=2"}), HasSubstr("given twice"));
  EXPECT_THAT(refusal({"calibration.seed=1"}, {{"calibration.seed", "3"}}),
              HasSubstr("an option of all tasks, too"));
}

TEST(Sweep, RefusesValues) {
  EXPECT_THAT(refusal({"calibration.seed"}), HasSubstr("no values"));
  EXPECT_THAT(refusal({"job.ini"}), HasSubstr("no values"));
  for (const std::string values : {"", ",", "1,", ",1", "1,,2", "1,1", "1, 1"}) {
    EXPECT_THAT(refusal({"calibration.seed=" + values}), HasSubstr("one or more, each once"))
        << values;
  }
}

TEST(Sweep, RefusesMoreThanAThousandTasks) {
  std::string seeds = "calibration.seed=0";
  for (int seed = 1; seed < 500; ++seed) seeds += fmt::format(",{}", seed);
  EXPECT_EQ(Sweep({seeds, "scales.policy=amax,mse"}, {}).tasks(), 1000u);
  EXPECT_THAT(refusal({seeds, "scales.policy=amax,mse,kl"}), HasSubstr("at most 1000"));
}

}  // namespace
}  // namespace fp8cal
