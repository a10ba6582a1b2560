#include "coordinator/study/study_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

StudyTable table(const std::string& name, const std::string& key, const std::string& value) {
  return {.name = name,
          .title = "by " + key,
          .keys = {"recipe", key},
          .rows = {{.keys = {"fp8-static", value},
                    .results = 2,
                    .difference = 0.1,
                    .interval = Interval{.low = -0.25, .high = 1.0 / 3},
                    .least = 0.05,
                    .most = 0.15,
                    .deviation = 0.07}},
          .notes = {"a note with \"quotes\""}};
}

StudyRecord record() {
  StudyRecord study = {.model = "/m/llama",
                       .calibration_sequence_length = 128,
                       .evaluation_dataset = "/d/test.txt",
                       .evaluation_sequence_length = 256,
                       .evaluation_windows = 10,
                       .results = {},
                       .datasets = table("datasets", "dataset", "c4"),
                       .samples = table("samples", "samples", "512"),
                       .settings = table("settings", "policy", "percentile:99.9")};
  study.samples.rows[0].change = -0.01;
  study.samples.rows[0].change_interval = Interval{.low = -0.02, .high = 0};
  study.settings.rows[0].interval.reset();
  for (const std::uint64_t seed : {std::uint64_t{1}, ~std::uint64_t{0}}) {
    study.results.push_back(
        {.dataset = "c4",
         .seed = seed,
         .samples = 512,
         .policy = "amax",
         .file = "study.json.results/a.h5",
         .digest = std::string(64, 'a'),
         .objection = seed == 1 ? "" : "not reportable: overlap",
         .recipes = {{.recipe = "fp8-static", .bf16 = 5.5, .perplexity = 5.6}}});
  }
  return study;
}

TEST(StudyFile, IsReadAsItWasWritten) {
  const std::string text = study_json(record());
  const StudyRecord study = parse_study(text, "s");
  EXPECT_EQ(study_json(study), text);
  EXPECT_EQ(study.model, "/m/llama");
  EXPECT_EQ(study.evaluation_windows, 10u);
  ASSERT_EQ(study.results.size(), 2u);
  EXPECT_EQ(study.results[1].seed, ~std::uint64_t{0});
  EXPECT_EQ(study.results[0].objection, "");
  EXPECT_EQ(study.results[1].objection, "not reportable: overlap");
  EXPECT_EQ(study.results[1].recipes[0].perplexity, 5.6);
  EXPECT_EQ(study.datasets.rows[0].interval->high, 1.0 / 3);
  EXPECT_FALSE(study.datasets.rows[0].change);
  EXPECT_EQ(study.samples.rows[0].change, -0.01);
  EXPECT_EQ(study.samples.rows[0].change_interval->low, -0.02);
  EXPECT_FALSE(study.settings.rows[0].interval);
  EXPECT_THAT(study.settings.notes, ::testing::ElementsAre("a note with \"quotes\""));
}

TEST(StudyFile, ComesFromAFile) {
  const TempFolder folder;
  EXPECT_EQ(read_study_file(folder.write("s.json", study_json(record()))).results.size(), 2u);
  EXPECT_THAT(error_text([&] { read_study_file(folder.path() / "none.json"); }),
              HasSubstr("none.json"));
  EXPECT_THAT(error_text([&] { read_study_file(folder.write("cut.json", "{\"format\": ")); }),
              HasSubstr("cut.json"));
}

TEST(StudyFile, NumberOfWindowsMayBeMissing) {
  json study = json::parse(study_json(record()));
  study["protocol"].erase("evaluation_windows");
  EXPECT_EQ(parse_study(study.dump(), "s").evaluation_windows, 0u);
}

struct Hostile {
  const char* pointer;  ///< what is replaced
  json value;
  const char* said;
};

class HostileStudyFile : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostileStudyFile, IsRefusedInALine) {
  json study = json::parse(study_json(record()));
  study[json::json_pointer(GetParam().pointer)] = GetParam().value;
  EXPECT_THAT(error_text([&] { parse_study(study.dump(), "s.json"); }),
              AllOf(HasSubstr("s.json"), HasSubstr(GetParam().said)));
}

INSTANTIATE_TEST_SUITE_P(
    All, HostileStudyFile,
    ::testing::Values(
        Hostile{"", json::array(), "object"}, Hostile{"/format", "fp8cal-sweep", "fp8cal-study"},
        Hostile{"/version", 2, "version"}, Hostile{"/protocol", nullptr, "protocol"},
        Hostile{"/protocol/model", 5, "model"},
        Hostile{"/protocol/model", std::string(5000, 'm'), "at most 4096 bytes"},
        Hostile{"/protocol/evaluation_sequence_length", 0, "evaluation_sequence_length"},
        Hostile{"/results", json::array(), "results: expected 1 to 4096"},
        Hostile{"/results", json::array_t(4097), "found 4097"},
        Hostile{"/results/0/seed", -1, "seed"}, Hostile{"/results/0/seed", 1.5, "seed"},
        Hostile{"/results/0/samples", 1e30, "samples"},
        Hostile{"/results/0/content_digest", std::string(64, 'g'), "64 hexadecimal digits"},
        Hostile{"/results/0/content_digest", "ab", "64 hexadecimal digits"},
        Hostile{"/results/0/reportable", false, "objection"},
        Hostile{"/results/0/reportable", "yes", "reportable"},
        Hostile{"/results/0/recipes", json::array(), "recipes"},
        Hostile{"/results/1/recipes/0/recipe", "other", "the same of all results"},
        Hostile{"/results/0/recipes/0/perplexity", nullptr, "perplexity"},
        Hostile{"/results/0/recipes/0/perplexity", 1e300, "perplexity"},
        Hostile{"/results/0/recipes/0/perplexity_bf16", -1, "perplexity_bf16"},
        Hostile{"/tables", json::array(), "tables: expected 3 to 3"},
        Hostile{"/tables/0/name", "samples", "expected datasets"},
        Hostile{"/tables/1/keys/1", "seed", "recipe, samples"},
        Hostile{"/tables/2/rows", json::array(), "rows"},
        Hostile{"/tables/0/notes", json::array({1}), "notes: expected strings"},
        Hostile{"/tables/0/notes", json::array_t(2000, ""), "notes"},
        Hostile{"/tables/0/rows/0/keys", json::array({"one"}), "keys: expected 2 to 2"},
        Hostile{"/tables/0/rows/0/results", 0, "results"},
        Hostile{"/tables/0/rows/0/difference", "0.1", "difference"},
        Hostile{"/tables/0/rows/0/interval/low", 2, "low up to high"},
        Hostile{"/tables/0/rows/0/interval", 1, "interval: expected an object"},
        Hostile{"/tables/0/rows/0/least", 1, "at most 'most'"},
        Hostile{"/tables/0/rows/0/deviation", -1, "deviation"},
        Hostile{"/tables/1/rows/0/keys/1", "-8", "a number of samples"},
        Hostile{"/tables/1/rows/0/keys/1", "1e9", "a number of samples"},
        Hostile{"/tables/1/rows/0/keys/1", "08", "a number of samples"},
        Hostile{"/tables/1/rows/0/keys/1", "", "a number of samples"},
        Hostile{"/tables/1/rows/0/change", nullptr, "change"}));

TEST(StudyFile, CutAnywhereItIsRefused) {
  const std::string text = study_json(record());
  for (std::size_t size = 0; size + 1 < text.size(); size += 7) {
    EXPECT_NE(error_text([&] { parse_study(text.substr(0, size), "s"); }), "");
  }
}

}  // namespace
}  // namespace fp8cal
