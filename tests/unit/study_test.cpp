#include "coordinator/study/study.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class StudyTest : public testing::Test {
 protected:
  StudyTest() {
    std::ofstream(folder_.path() / "config.json")
        << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
               "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
               "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
               "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
               "tie_word_embeddings": false, "torch_dtype": "bfloat16"})";
  }

  Study read(const std::vector<JobOption>& options) {
    std::vector<JobOption> all = {{"model.path", folder_.path().string()},
                                  {"evaluation.dataset", "e.txt"},
                                  {"output.result", (folder_.path() / "s.json").string()}};
    all.insert(all.end(), options.begin(), options.end());
    return read_study({}, all);
  }

  TempFolder folder_;
};

TEST_F(StudyTest, ACellForEachCombinationFewestSamplesFirst) {
  const Study study = read({{"calibration.dataset", "d/a.txt,b.u32"},
                            {"calibration.seed", "3,4"},
                            {"calibration.samples", "64, 8"},
                            {"scales.policy", "percentile:99.9,amax"}});
  ASSERT_EQ(study.calibrations.size(), 4u);
  ASSERT_EQ(study.cells.size(), 16u);
  EXPECT_EQ(study.calibrations[2].dataset, "b");
  EXPECT_EQ(study.calibrations[2].job.calibration.dataset, "b.u32");
  EXPECT_EQ(study.calibrations[2].job.calibration.seed, 3u);
  EXPECT_EQ(study.calibrations[2].job.calibration.samples, 64u);
  const StudyCell& cell = study.cells[5];
  EXPECT_EQ(cell.calibration, 1u);
  EXPECT_EQ(cell.job.calibration.samples, 8u);
  EXPECT_EQ(cell.job.scales.policy, "amax");
  EXPECT_EQ(cell.job.output.result,
            (folder_.path() / "s.json.results" / "a-seed4-n8-amax.h5").string());
  EXPECT_EQ(study.cells[6].job.calibration.samples, 64u);
  EXPECT_EQ(study.cells[6].job.scales.policy, "percentile:99.9");
  EXPECT_THAT(study.cells[6].job.output.result, HasSubstr("a-seed4-n64-percentile-99.9.h5"));
}

TEST_F(StudyTest, AJobIsAStudyOfOne) {
  const Study study = read({{"calibration.dataset", "a.txt"}});
  ASSERT_EQ(study.cells.size(), 1u);
  EXPECT_EQ(study.cells[0].job.calibration.samples, 256u);
}

TEST_F(StudyTest, FieldsOfADataset) {
  const Study study = read(
      {{"calibration.dataset", "a.jsonl:q+r,x/a.jsonl,a.h5:/ids"}, {"calibration.field", "body"}});
  ASSERT_EQ(study.calibrations.size(), 3u);
  EXPECT_EQ(study.calibrations[0].job.calibration.dataset, "a.jsonl");
  EXPECT_THAT(study.calibrations[0].job.calibration.fields, ElementsAre("q", "r"));
  EXPECT_EQ(study.calibrations[1].dataset, "a-2");  // its file is another a.jsonl
  EXPECT_THAT(study.calibrations[1].job.calibration.fields, ElementsAre("body"));
  EXPECT_EQ(study.calibrations[2].job.calibration.dataset, "a.h5:/ids");
  EXPECT_EQ(study.calibrations[2].dataset, "ids");
}

TEST_F(StudyTest, Refusals) {
  const auto refused = [&](std::vector<JobOption> options) {
    options.push_back({"calibration.dataset", "a.txt"});
    return error_text([&] { read(options); });
  };
  EXPECT_THAT(refused({{"calibration.seed", "1,1"}}), HasSubstr("value given twice"));
  EXPECT_THAT(refused({{"output.checkpoint", "x"}}), HasSubstr("output.checkpoint in a study"));
  EXPECT_THAT(refused({{"evaluation.max_delta_ppl", "1"}}), HasSubstr("max_delta_ppl in a study"));
  EXPECT_THAT(refused({{"evaluation.windows", "1,2"}}), HasSubstr("evaluation.windows"));
}

}  // namespace
}  // namespace fp8cal
