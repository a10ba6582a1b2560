#include "coordinator/protocol/protocol.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/protocol/advice.hpp"
#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Job calibration_on(std::size_t samples, std::size_t length) {
  Job job;
  job.calibration.dataset = "text";
  job.calibration.samples = samples;
  job.calibration.sequence_length = length;
  return job;
}

TEST(Advice, WarnsOfTooFewAndTooMany) {
  for (const std::size_t samples : {1, 31}) {
    EXPECT_THAT(protocol_warnings(calibration_on(samples, 2048)),
                ElementsAre(HasSubstr("fewer than 32 sequences give unstable scales")));
  }
  for (const std::size_t samples : {32, 128, 256, 512}) {
    EXPECT_THAT(protocol_warnings(calibration_on(samples, 2048)), IsEmpty()) << samples;
  }
  EXPECT_THAT(protocol_warnings(calibration_on(513, 2048)),
              ElementsAre(HasSubstr("more than 512 sequences gain nothing")));
}

TEST(Advice, RecommendsInOneLineWhatIsNotWarnedOf) {
  EXPECT_EQ(protocol_note(calibration_on(128, 2048)), "");
  EXPECT_EQ(protocol_note(calibration_on(256, 2048)), "");
  EXPECT_EQ(protocol_note(calibration_on(31, 64)), "");
  EXPECT_EQ(protocol_note(calibration_on(513, 64)), "");
  for (const auto& [samples, length] :
       {std::pair{32, 2048}, {127, 2048}, {257, 2048}, {512, 2048}, {128, 2047}, {256, 4096}}) {
    EXPECT_THAT(protocol_note(calibration_on(samples, length)),
                HasSubstr("128 to 256 sequences of 2048 are recommended"))
        << samples << " x " << length;
  }
}

TEST(Advice, AnFp8CheckpointIsOnlyEvaluated) {
  Job job;
  job.scales.recipes = {"fp8-static"};
  EXPECT_THAT(protocol_warnings(job), ElementsAre(HasSubstr("evaluated as it is")));
  EXPECT_EQ(protocol_note(job), "");
}

TEST(Protocol, IsToldInOneLine) {
  Result result;
  result.calibration = {2, {1, 2, 3, 4, 5, 6}};
  result.evaluation = {4, {1, 2, 3, 4}};
  EXPECT_EQ(text_of(protocol_of(result)), "calibrated on 3 x 2 tokens, evaluated on 1 x 4 tokens");
  result.job["calibration.seed"] = std::int64_t{7};
  result.provenance = {{"calibration_dataset", "/data/train.txt"},
                       {"evaluation_dataset", "test.txt"}};
  EXPECT_EQ(text_of(protocol_of(result)),
            "calibrated on 3 x 2 tokens of train.txt (seed 7), evaluated on 1 x 4 tokens of "
            "test.txt");
  result.calibration = {};
  EXPECT_EQ(text_of(protocol_of(result)), "evaluated on 1 x 4 tokens of test.txt");
  result.provenance["evaluation_dataset"] = std::int64_t{1};  // of another program
  EXPECT_EQ(text_of(protocol_of(result)), "evaluated on 1 x 4 tokens");
}

TEST(Protocol, AVerdictOnWhatOverlapsSaysSo) {
  EXPECT_EQ(verdict(0.2, {}), "expected");
  EXPECT_EQ(verdict(0.2, {{kOverlapAttribute, "1 of 2"}}),
            "expected; not reportable: calibration and evaluation text overlap");
}

}  // namespace
}  // namespace fp8cal
