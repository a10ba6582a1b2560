#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "coordinator/audit/audit_json.hpp"
#include "coordinator/audit/audit_text.hpp"
#include "coordinator/audit/consistency.hpp"
#include "jobs/result_writer.hpp"
#include "tests/unit/consistent_result.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/full_result.hpp"
#include "tests/unit/result_edits.hpp"
#include "tests/unit/result_random_edits.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kQ = "/activations/model.layers.0.self_attn.q_proj";

/// Overwrites one number of a dataset or attribute.
template <class T>
void poke(const Handle& file, const std::string& path, std::size_t index, T value) {
  const Handle dataset = hdf5::open_dataset(file, path);
  auto values = hdf5::read_numbers<T>(dataset, hdf5::shape_of(dataset, 1 << 20));
  values.at(index) = value;
  const Handle type = hdf5::type_of(dataset);
  FP8CAL_HDF5(H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
}

void rewrite_attribute(const Handle& object, const std::string& name, const std::string& value) {
  remove_attribute(object, name);
  hdf5::write_attribute(object, name, value);
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() { write_result(consistent_result(), path_); }

  template <class Edit>
  std::vector<std::string> after(Edit edit, bool stamped = false) {
    edit_result(path_, edit, stamped);
    return lines();
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    const Verification done = verify(path_, 1);
    for (const Finding& one : done.findings.kept()) all.push_back(text_of(one));
    return all;
  }

  TempFolder temporary_;
  const std::filesystem::path path_ = temporary_.path() / "result.h5";
};

TEST_F(VerifyTest, AnHonestResultHasNoFindings) {
  const Verification done = verify(path_, 1);
  EXPECT_THAT(lines(), SizeIs(0));
  EXPECT_EQ(done.objects.stored, done.objects.computed);
  EXPECT_TRUE(done.objects.has_table);
  EXPECT_TRUE(done.numbers_checked);
  EXPECT_THAT(verification_text(done, "x"), StartsWith("x: verified\n"));
}

TEST_F(VerifyTest, NamesTheDatasetThatChangedByTheNameThatIsComputedFirst) {
  const auto found =
      after([](const Handle& file) { poke<float>(file, std::string(kQ) + "/channel_amax", 1, 2); });
  ASSERT_THAT(found, SizeIs(1));  // the number itself is possible
  EXPECT_THAT(found[0], StartsWith(std::string(kQ) + "/channel_amax: SHA-256: expected "));
}

TEST_F(VerifyTest, NamesAGroupWhoseAttributeChanged) {
  const auto found = after([](const Handle& file) {
    rewrite_attribute(hdf5::open_group(file, "job"), "numerics", "cuda-1");
  });
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found[0], StartsWith("/job: SHA-256"));
}

TEST_F(VerifyTest, NamesObjectsThatCameOrWentAndLinksThatLeadElsewhere) {
  const auto found = after([](const Handle& file) {
    remove_link(file, "/perplexity/bf16/nll");
    hdf5::create_group(file, "/scales/fp8-dynamic");
    remove_link(file, "/activations/model.layers.0.self_attn.v_proj");
    add_hard_link(file, "/activations/model.layers.0.mlp.down_proj",
                  "/activations/model.layers.0.self_attn.v_proj");
  });
  EXPECT_THAT(found, testing::IsSupersetOf(
                         {HasSubstr("/perplexity/bf16/nll: object: expected one"),
                          HasSubstr("/scales/fp8-dynamic: object: expected none of that name"),
                          HasSubstr("self_attn.v_proj/histogram: SHA-256")}));
}

TEST_F(VerifyTest, TellsDamageOfTheDigestsFromDamageOfTheContent) {
  auto found = after([](const Handle& file) {
    const Handle column = hdf5::open_dataset(file, "/provenance/object_sha256");
    auto digests = hdf5::read_strings(column, 1 << 20);
    digests[3][0] = 'x';
    remove_link(file, "/provenance/object_sha256");
    hdf5::write_dataset(hdf5::open_group(file, "provenance"), "object_sha256", digests);
  });
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found[0], StartsWith("/provenance/object_sha256: entry /activations"));
  write_result(consistent_result(), path_);
  found = after(
      [](const Handle& file) { rewrite_attribute(file, "content_digest", std::string(64, '0')); });
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found[0], AllOf(StartsWith("/: attribute content_digest: "),
                              HasSubstr("found " + std::string(64, '0'))));
}

TEST_F(VerifyTest, OlderFilesHaveNoObjectDigests) {
  const auto remove_table = [](const Handle& file) {
    remove_link(file, "/provenance/object_names");
    remove_link(file, "/provenance/object_sha256");
  };
  EXPECT_THAT(after(remove_table), SizeIs(0));
  EXPECT_FALSE(verify(path_, 1).objects.has_table);
  const auto found =
      after([](const Handle& file) { poke<float>(file, std::string(kQ) + "/channel_amax", 1, 2); });
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(found[0], HasSubstr("cannot say which object changed"));
}

TEST_F(VerifyTest, ADamagedFileIsAFindingAndAForeignOneAnError) {
  std::ifstream stream(path_, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  temporary_.write("result.h5", bytes.substr(0, bytes.size() / 2));
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], HasSubstr("HDF5 cannot open"));
  temporary_.write("result.h5", "fp8cal");
  EXPECT_THAT(error_text([&] { verify(path_, 1); }), HasSubstr("expected a complete HDF5 file"));
  EXPECT_THAT(error_text([&] { verify(temporary_.path() / "none.h5", 1); }),
              HasSubstr("No such file"));
  { hdf5::Handle file(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)); }
  EXPECT_THAT(error_text([&] { verify(path_, 1); }), HasSubstr("format"));
}

TEST_F(VerifyTest, WhateverAFileHoldsIsToldInFindings) {
  std::mt19937_64 random(20240819);
  const Choose choose = [&](std::size_t bound) { return random() % bound; };
  const auto original = temporary_.path() / "original.h5";
  write_result(full_result(), original);
  for (int i = 0; i < 150; ++i) {
    std::filesystem::copy_file(original, path_, std::filesystem::copy_options::overwrite_existing);
    try {
      forge_result(path_, 1 + random() % 3, choose);
      const Verification done = verify(path_, 1);
      EXPECT_FALSE(done.findings.empty());  // full_result() is not consistent either
      for (const Finding& one : done.findings.kept()) {
        EXPECT_EQ(text_of(one).find('\n'), std::string::npos);
      }
      verification_json(done, "x");
    } catch (const InputError& error) {
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << i;
    }
  }
}

/// The findings in an honestly hashed result whose numbers were edited.
template <class Edit>
std::vector<std::string> inconsistencies(Edit edit) {
  Result result = consistent_result();
  edit(result);
  Findings findings;
  check_consistency(result, 1, findings);
  std::vector<std::string> all;
  for (const Finding& one : findings.kept()) all.push_back(text_of(one));
  return all;
}

TEST(Consistency, HoldsInAConsistentResult) {
  EXPECT_THAT(inconsistencies([](Result&) {}), SizeIs(0));
}

template <class Edit>
void expect_first(const std::string& text, Edit edit) {
  const std::vector<std::string> found = inconsistencies(edit);
  ASSERT_FALSE(found.empty()) << text;
  EXPECT_EQ(found.front().substr(0, text.size()), text);
}

TEST(Consistency, OfTheJob) {
  expect_first("/job: attribute calibration.samples: expected 2, found 3",
               [](Result& r) { r.job["calibration.samples"] = std::int64_t{3}; });
  expect_first("/job: attribute calibration_tokens_sha256: ",
               [](Result& r) { r.calibration.tokens[0] = 0; });
  expect_first("/job: attribute evaluation_tokens_sha256: ",
               [](Result& r) { r.evaluation.tokens[0] = 0; });
  expect_first("/job: attribute calibration_tokens_sha256: ",
               [](Result& r) { r.calibration.tokens[5] = 7; });
  expect_first(
      "/job/calibration_tokens: window 0, position 0: expected a token id below 1, found 1",
      [](Result& r) { r.job["model.vocab_size"] = std::int64_t{1}; });
  expect_first("/job/sample_ids: draw: expected each window once, found 8 twice", [](Result& r) {
    r.sample_ids = {8, 8};
  });
  expect_first("/job: attribute /job/model.head_dim: ",
               [](Result& r) { r.job.erase("model.head_dim"); });
}

TEST(Consistency, OfTheMarkOfOverlap) {
  expect_first("/job: attribute overlap: expected none, found 3 of 6 evaluation tokens",
               [](Result& r) { r.job["overlap"] = "3 of 6 evaluation tokens"; });
  Result result;
  result.calibration.sequence_length = result.evaluation.sequence_length = 40;
  for (std::uint32_t id = 0; id < 40; ++id) result.calibration.tokens.push_back(id);
  result.evaluation.tokens = result.calibration.tokens;
  const auto marks = [&result] {
    Findings findings;
    check_job(result, findings);
    std::vector<std::string> lines;
    for (const Finding& one : findings.kept()) {
      if (one.what == "attribute overlap") lines.push_back(text_of(one));
    }
    return lines;
  };
  const std::string mark = "40 of 40 evaluation tokens lie in 32-grams of the calibration text";
  EXPECT_THAT(marks(), ElementsAre("/job: attribute overlap: expected " + mark + ", found none"));
  result.job["overlap"] = mark;
  EXPECT_THAT(marks(), SizeIs(0));
  result.job["overlap"] = std::int64_t{40};
  EXPECT_THAT(marks(), ElementsAre("/job: attribute overlap: expected " + mark + ", found 40"));
}

TEST(Consistency, OfDistributions) {
  const std::string q = "model.layers.0.self_attn.q_proj";
  const std::string object = "/activations/" + q;
  expect_first(object + "/histogram: elements: expected 24 (6 tokens x 4 channels), found 25",
               [&](Result& r) { ++r.activations[q].histogram[0]; });
  expect_first(object + "/channel_amax: channels: expected 4, found 3",
               [&](Result& r) { r.activations[q].channel_amax.pop_back(); });
  expect_first(object + "/channel_amax: largest: expected 2, found 1",
               [&](Result& r) { r.activations[q].channel_amax[0] = 1; });
  expect_first(object + "/channel_amax: channel 3: expected a magnitude that the histogram counts",
               [&](Result& r) { r.activations[q].channel_amax[3] = 1.5f; });
  expect_first(object + "/amax_after_sequences: sequences: expected , found 32", [&](Result& r) {
    r.activations[q].snapshots = {{32, 1.0f}};
  });
  expect_first("/activations: distributions: expected 6, found 5",
               [&](Result& r) { r.activations.erase("model.layers.0.self_attn.v"); });
  expect_first(
      "/activations/model.layers.0.mlp.up_proj: link: expected "
      "model.layers.0.mlp.gate_proj, found none",
      [](Result& r) { r.activation_aliases.erase("model.layers.0.mlp.up_proj"); });
  expect_first(
      "/weights/model.layers.0.mlp.up_proj/channel_amax: rows: expected 6, found 7",
      [](Result& r) { r.weights["model.layers.0.mlp.up_proj"].channel_amax.push_back(0.5f); });
}

TEST(Consistency, OfSnapshots) {
  const auto with = [](std::vector<AmaxSnapshot> snapshots) {
    return [snapshots = std::move(snapshots)](Result& r) {
      r.calibration = {3, std::vector<std::uint32_t>(3 * 64, 1)};
      r.sample_ids.resize(64);
      for (std::uint32_t i = 0; i < 64; ++i) r.sample_ids[i] = i;
      r.job["calibration.samples"] = std::int64_t{64};
      r.job["calibration_tokens_sha256"] =
          to_hex(sha256(std::as_bytes(std::span(r.calibration.tokens))));
      for (auto& [name, tensor] : r.activations) {
        tensor.histogram[float_to_bf16(1.0f)] = 3 * 64 * tensor.channel_amax.size() - 1;
        tensor.snapshots = snapshots;
      }
    };
  };
  const std::string object = "/activations/model.layers.0.self_attn.q_proj/amax_after: ";
  expect_first(object + "after 64 sequences: expected 2, found 1.5", with({{32, 1}, {64, 1.5f}}));
  expect_first(object + "after 32 sequences: expected 0 to 2, found 3", with({{32, 3}, {64, 2}}));
  for (const std::string& line : inconsistencies(with({{32, 1}, {64, 2}}))) {
    EXPECT_THAT(line, StartsWith("/diagnostics/"));  // of the old histograms
  }
}

TEST(Consistency, OfWhatIsDerived) {
  const std::string up = "model.layers.0.mlp.up_proj";
  expect_first("/scales/fp8-static/" + up + "/input_scale: scale 0: expected 0.004464286, found 1",
               [&](Result& r) { r.scales["fp8-static"][up].input_scale = {1}; });
  expect_first("/scales/fp8-channel-kv-e4m3/" + up + "/weight_scale: scales: expected 6, found 1",
               [&](Result& r) { r.scales["fp8-channel-kv-e4m3"][up].weight_scale = {1}; });
  expect_first("/scales/fp8-static: object: expected one, found none",
               [](Result& r) { r.scales.erase("fp8-static"); });
  expect_first("/diagnostics/fp8-static/model.layers.0.mlp.down_proj: attributes: ", [](Result& r) {
    r.diagnostics["fp8-static"]["model.layers.0.mlp.down_proj"].clipped = 1;
  });
  expect_first("/perplexity/fp8-static: attribute ppl_difference: ",
               [](Result& r) { r.differences["fp8-static"].low -= 0.001; });
  expect_first("/perplexity/fp8-static: variant: expected one, found none", [](Result& r) {
    r.perplexity.erase("fp8-static");
    r.differences.erase("fp8-static");
  });
  expect_first("/perplexity/fp8-channel-kv-e4m3/kl: object: expected one, found none",
               [](Result& r) { r.job["evaluation.compare"] = "yes"; });
}

}  // namespace
}  // namespace fp8cal
