#include "coordinator/profile/profile_scales.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "coordinator/inputs.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/export_fixture.hpp"
#include "tests/unit/temp_folder.hpp"

/// Open MPI keeps memory to its end, in components that are gone before a leak could be traced to
/// them.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace fp8cal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

class MpiEnvironment : public testing::Environment {
  void SetUp() override { MPI_Init(nullptr, nullptr); }
  void TearDown() override { MPI_Finalize(); }
};
const auto* const kMpi = testing::AddGlobalTestEnvironment(new MpiEnvironment);

class ProfileScalesTest : public testing::Test {
 protected:
  ProfileScalesTest() {
    write_small_model(model_, small_model_json(), control_);
    config_ = read_model_config(model_);
    result_ = small_result(model_, {"fp8-static", "fp8-static-kv-e4m3", "fp8-dynamic-kv-e4m3",
                                    "fp8-channel", "fp8-static-kv-e5m2-head"});
    // Two recipes' keys and values are told apart by this.
    result_.scales["fp8-dynamic-kv-e4m3"]["model.layers.0.self_attn"].k_scale = {7.0f};
  }

  ProfileRequest request(std::vector<std::string> variants, std::vector<std::string> kv) const {
    ProfileRequest request;
    request.model = model_;
    request.variants = std::move(variants);
    request.kv = std::move(kv);
    request.threads = 1;
    return request;
  }

  ProfileScales select(std::vector<std::string> variants, std::vector<std::string> kv) const {
    return ProfileScales::select(result_, request(std::move(variants), std::move(kv)), config_,
                                 "r.h5");
  }

  std::string refused(std::vector<std::string> variants, std::vector<std::string> kv) const {
    return error_text([&] { select(std::move(variants), std::move(kv)); });
  }

  const Control control_{MPI_COMM_WORLD};
  const TempFolder folder_;
  const std::string model_ = (folder_.path() / "model").string();
  ModelConfig config_;
  Result result_;
};

TEST_F(ProfileScalesTest, AreThoseOfTheRecipe) {
  const ProfileScales scales = select({"bf16", "fp8-static", "fp8-dynamic"}, {"bf16", "e4m3"});
  EXPECT_THAT(scales.recipes(), UnorderedElementsAre(Key("fp8-static"), Key("fp8-static-kv-e4m3"),
                                                     Key("fp8-dynamic-kv-e4m3")));
  const auto plain = scales.of("fp8-static", "bf16", 2);
  ASSERT_EQ(plain.size(), 2u);
  EXPECT_EQ(plain[1].linear[3],
            result_.scales.at("fp8-static").at("model.layers.1.self_attn.o_proj"));
  EXPECT_EQ(plain[1].attention, ModuleScales{});
  // Of the linear modules alone, which its recipes with keys and values share.
  const auto dynamic = scales.of("fp8-dynamic", "bf16", 2);
  EXPECT_EQ(dynamic[0].linear[6],
            result_.scales.at("fp8-dynamic-kv-e4m3").at("model.layers.0.mlp.down_proj"));
  EXPECT_EQ(dynamic[0].attention, ModuleScales{});
}

TEST_F(ProfileScalesTest, TakeKeysAndValuesOfTheVariantOrOfAny) {
  const ProfileScales scales = select({"bf16", "fp8-channel", "fp8-static"}, {"e4m3"});
  EXPECT_THAT(scales.of("fp8-static", "e4m3", 2)[0].attention.k_scale, ElementsAre(0.5f));
  // The first in byte order.
  const auto bf16 = scales.of("bf16", "e4m3", 2);
  EXPECT_THAT(bf16[0].attention.k_scale, ElementsAre(7.0f));
  EXPECT_THAT(bf16[1].attention.v_scale, ElementsAre(1.125f));
  EXPECT_EQ(bf16[0].linear[0], ModuleScales{});
  EXPECT_THAT(scales.of("fp8-channel", "e4m3", 2)[0].attention.k_scale, ElementsAre(7.0f));
}

TEST_F(ProfileScalesTest, AreRefusedWhereARecipeIsMissing) {
  EXPECT_THAT(refused({"fp8-weight-only"}, {"bf16"}),
              AllOf(HasSubstr("r.h5: recipe that the result has no scales of"),
                    HasSubstr("fp8-channel, fp8-dynamic-kv-e4m3"), HasSubstr("'fp8-weight-only'")));
  // Scales a head are not those of a whole tensor.
  EXPECT_THAT(refused({"fp8-static"}, {"e5m2"}),
              AllOf(HasSubstr("in e5m2"), HasSubstr("'fp8-static-kv-e5m2'")));
  result_.scales.clear();
  EXPECT_THAT(refused({"fp8-static"}, {"bf16"}), HasSubstr("a result with scales"));
  EXPECT_THAT(refused({"bf16"}, {"e4m3"}), HasSubstr("found none"));
  EXPECT_TRUE(select({"bf16"}, {"bf16"}).recipes().empty());
}

TEST_F(ProfileScalesTest, AreRefusedWhereTheyAreNotTheModels) {
  result_.scales["fp8-static"].erase("model.layers.1.mlp.up_proj");
  EXPECT_THAT(refused({"fp8-static"}, {"bf16"}), HasSubstr("model.layers.1.mlp.up_proj"));
  result_.job["model.hidden_size"] = std::int64_t{48};
  EXPECT_THAT(refused({"bf16"}, {"bf16"}),
              AllOf(HasSubstr("not the model of the result: model.hidden_size"),
                    HasSubstr("expected 48, found 40")));
}

TEST_F(ProfileScalesTest, AreRefusedWhereNothingWasCalibrated) {
  result_.job.erase("calibration_tokens_sha256");
  EXPECT_THAT(refused({"bf16"}, {"bf16"}), HasSubstr("one of an FP8 checkpoint"));
}

TEST_F(ProfileScalesTest, AreNotReadFromWhatIsNoResult) {
  ProfileRequest asked = request({"fp8-static"}, {"bf16"});
  asked.scales = model_ + "/config.json";
  Job job;
  job.model.path = model_;
  const Checkpoint checkpoint = open_checkpoint(job, config_);
  EXPECT_THAT(error_text([&] { read_profile_scales(asked, config_, checkpoint, control_); }),
              HasSubstr("config.json"));
}

}  // namespace
}  // namespace fp8cal
