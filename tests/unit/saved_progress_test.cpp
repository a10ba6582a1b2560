#include "coordinator/resume/saved_progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "coordinator/resume/progress_file.hpp"
#include "coordinator/resume/save_clock.hpp"
#include "coordinator/window_scores.hpp"
#include "jobs/file.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/nano_config.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

Workload small_work() {
  Workload work;
  work.calibration_sequences = 4;
  work.evaluation_windows = 3;
  work.evaluation_length = 3;
  work.compares = true;
  return work;
}

SavedProgress some_progress() {
  const ModelConfig config = nano_config();
  SavedProgress progress;
  progress.job = {{"calibration.seed", "1234"}};
  progress.tensors = {{"model.norm.weight", "abcd"}};
  progress.runs = {"yesterday", "today"};
  progress.calibrated = {{0, 1}, {2, 2}};
  for (std::size_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    LayerStatistics one;
    one.layer = layer;
    for (std::size_t s = 0; s < kSites; ++s) {
      one.activations[s].histogram.assign(kHistogramSize, 0);
      one.activations[s].histogram[100 + s] = layer + 1;
      one.activations[s].channel_amax.assign(channels_of(static_cast<Site>(s), config), 0.5f);
      one.sequence_amax[s] = {1.0f, 0.0f, 2.0f, 3.0f};
    }
    progress.layers.push_back(std::move(one));
  }
  progress.evaluated = {{1, 1}};
  progress.scores["bf16"] = {{0.25f, 0.5f}, {}, {}};
  progress.scores["fp8-static"] = {{0.5f, 0.75f}, {0.0f, 1.0f}, {1, 0}};
  return progress;
}

void expect_same(const SavedProgress& found, const SavedProgress& expected) {
  EXPECT_EQ(pack_progress(found), pack_progress(expected));
}

TEST(SavedProgress, SurvivesPacking) {
  const SavedProgress progress = some_progress();
  const SavedProgress back = unpack_progress(pack_progress(progress));
  check_progress(back, nano_config(), small_work());
  expect_same(back, progress);
  EXPECT_EQ(back.layers[2].activations[1].histogram, progress.layers[2].activations[1].histogram);
  EXPECT_EQ(describe_progress(back, nano_config(), small_work()),
            "3 of 4 calibration sequences, 1 of 3 windows");
}

TEST(SavedProgress, EndsWhereItShould) {
  const std::string bytes = pack_progress(some_progress());
  for (std::size_t size = 0; size < bytes.size(); size += 997) {
    EXPECT_THROW(unpack_progress(bytes.substr(0, size)), Error) << size;
  }
  EXPECT_THROW(unpack_progress(bytes + "x"), Error);
}

TEST(SavedProgress, MustFitTheJob) {
  const auto refuse = [](const std::string& text, const auto& change) {
    SavedProgress progress = some_progress();
    change(progress);
    EXPECT_THAT(error_text([&] { check_progress(progress, nano_config(), small_work()); }),
                HasSubstr(text));
  };
  refuse("calibrated", [](SavedProgress& one) { one.calibrated = {{0, 5}}; });
  refuse("calibrated", [](SavedProgress& one) { one.calibrated = {{2, 1}, {0, 1}}; });
  refuse("calibrated", [](SavedProgress& one) { one.calibrated = {{0, 2}, {1, 1}}; });
  refuse("evaluated", [](SavedProgress& one) { one.evaluated = {{~std::size_t{0}, 2}}; });
  refuse("layers: expected 4, found 3", [](SavedProgress& one) { one.layers.pop_back(); });
  refuse("layer: expected 1, found 2", [](SavedProgress& one) { one.layers[1].layer = 2; });
  refuse("channels",
         [](SavedProgress& one) { one.layers[1].activations[3].channel_amax.pop_back(); });
  refuse("maxima of sequences",
         [](SavedProgress& one) { one.layers[3].sequence_amax[5].pop_back(); });
  refuse("log-likelihoods", [](SavedProgress& one) { one.scores["bf16"].nll.pop_back(); });
  refuse("divergences", [](SavedProgress& one) { one.scores["fp8-static"].kl.clear(); });
  refuse("finite", [](SavedProgress& one) {
    one.scores["bf16"].nll[0] = std::numeric_limits<float>::quiet_NaN();
  });
}

TEST(ProgressFile, IsReadBackAndRemoved) {
  const TempFolder folder;
  const std::filesystem::path own = folder.path() / "a" / "b";
  EXPECT_FALSE(read_progress(own));
  prepare_progress_folder(own);
  EXPECT_FALSE(read_progress(own));
  write_progress(own, some_progress());
  expect_same(*read_progress(own), some_progress());
  remove_progress(own);
  EXPECT_FALSE(std::filesystem::exists(own));
}

TEST(ProgressFile, StaysInAFolderWithOtherFiles) {
  const TempFolder folder;
  std::ofstream(folder.path() / "other") << "text";
  write_progress(folder.path(), some_progress());
  remove_progress(folder.path());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "other"));
}

TEST(ProgressFile, RefusesDamage) {
  const TempFolder folder;
  write_progress(folder.path(), some_progress());
  const std::string whole = read_text_file(progress_file(folder.path()), 1 << 30);
  const auto write = [&](const std::string& text) {
    std::ofstream(progress_file(folder.path()), std::ios::binary) << text;
  };
  for (std::size_t at = 0; at < whole.size(); at += whole.size() / 50) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    write(flipped);
    EXPECT_THAT(error_text([&] { read_progress(folder.path()); }), HasSubstr("checksum")) << at;
    write(whole.substr(0, at));
    EXPECT_THAT(error_text([&] { read_progress(folder.path()); }),
                testing::AnyOf(HasSubstr("checksum"), HasSubstr("size")))
        << at;
  }
}

TEST(ProgressFile, RefusesFilesInThePlaceOfItsFolder) {
  const TempFolder folder;
  std::ofstream(folder.path() / "file") << "text";
  EXPECT_THAT(error_text([&] { prepare_progress_folder(folder.path() / "file"); }),
              HasSubstr("runtime.checkpoint"));
}

TEST(WindowScores, GoWhereTheyBelong) {
  VariantScores all;
  place_scores(all, 4, {{0, 1}, {3, 1}}, {{1, 2, 7, 8}, {}, {1, 0, 1, 0}}, 2);
  place_scores(all, 4, {{1, 2}}, {{3, 4, 5, 6}, {}, {0, 0, 1, 1}}, 2);
  EXPECT_EQ(all.nll, (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(all.same_top, (std::vector<std::uint8_t>{1, 0, 0, 0, 1, 1, 1, 0}));
  EXPECT_TRUE(all.kl.empty());
  const VariantScores some = scores_of(all, {{0, 1}, {2, 1}}, 2);
  EXPECT_EQ(some.nll, (std::vector<float>{1, 2, 5, 6}));
}

TEST(SaveClock, AsksOnceAnInterval) {
  using std::chrono::seconds;
  const SaveClock::Clock::time_point start{};
  SaveClock clock(seconds(60), 0, start);
  EXPECT_FALSE(clock.unit_done(start + seconds(30)));
  EXPECT_TRUE(clock.unit_done(start + seconds(60)));
  EXPECT_FALSE(clock.unit_done(start + seconds(90)));  // asked for already
  clock.saved(start + seconds(91));
  EXPECT_FALSE(clock.unit_done(start + seconds(150)));
  EXPECT_TRUE(clock.unit_done(start + seconds(151)));
}

TEST(SaveClock, AsksEarlierWhereAskingTakesLonger) {
  using std::chrono::seconds;
  const SaveClock::Clock::time_point start{};
  SaveClock clock(seconds(60), 2, start);
  EXPECT_FALSE(clock.unit_done(start + seconds(10)));
  EXPECT_FALSE(clock.unit_done(start + seconds(20)));
  EXPECT_FALSE(clock.unit_done(start + seconds(30)));
  EXPECT_TRUE(clock.unit_done(start + seconds(40)));  // two more units take 20 s
}

TEST(SaveClock, AsksAtEveryUnitWhereTheIntervalIsNothing) {
  const SaveClock::Clock::time_point start{};
  SaveClock clock(std::chrono::seconds(0), 3, start);
  EXPECT_TRUE(clock.unit_done(start));
  clock.saved(start);
  EXPECT_TRUE(clock.unit_done(start));
}

}  // namespace
}  // namespace fp8cal
