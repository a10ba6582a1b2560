#include "jobs/result_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/result_objects.hpp"
#include "jobs/result_writer.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/full_result.hpp"
#include "tests/unit/result_edits.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using hdf5::Handle;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ResultReaderTest : public ::testing::Test {
 protected:
  template <class Edit>
  std::string refusal_of(Edit edit, bool stamped = true) {
    write_result(full_result(), path_);
    edit_result(path_, edit, stamped);
    return error_text([&] { read_result(path_); });
  }

  void expect_round_trip(const Result& result) {
    const std::string digest = write_result(result, path_);
    const StoredResult stored = read_result(path_);
    EXPECT_EQ(stored.digest, digest);
    EXPECT_EQ(stored.result.provenance, result.provenance);
    expect_same_content(stored.result, result);
    EXPECT_EQ(write_result(stored.result, temporary_.path() / "again.h5"), digest);
  }

  TempFolder temporary_;
  const fs::path path_ = temporary_.path() / "result.h5";
};

TEST_F(ResultReaderTest, AFullResultComesBackAsItWas) { expect_round_trip(full_result()); }

TEST_F(ResultReaderTest, AnEmptyResultComesBackAsItWas) { expect_round_trip(Result{}); }

TEST_F(ResultReaderTest, ATimelineMayBeLongerThanAnAttribute) {
  Result result = full_result();
  std::vector<std::string> lines;
  for (int i = 0; i < 5000; ++i) lines.push_back("0\t0.000\t1.000\t512\tcalibrate layers 0-3");
  result.provenance[kTimeline] = lines;
  expect_round_trip(result);
  EXPECT_EQ(content_digest_of(result), content_digest_of(full_result()));
  result.provenance[kTimeline] = std::vector<std::string>{};
  expect_round_trip(result);
}

TEST_F(ResultReaderTest, PartsThatAreNotThereComeBackEmpty) {
  Result expected = full_result();
  write_result(expected, path_);
  edit_result(path_, [](const Handle& file) {
    for (const char* part :
         {"provenance", "activations", "weights", "scales", "diagnostics", "perplexity"}) {
      remove_link(file, part);
    }
    hdf5::create_group(file, "profile");
  });
  expected.provenance.clear();
  expected.activations.clear();
  expected.activation_aliases.clear();
  expected.weights.clear();
  expected.scales.clear();
  expected.diagnostics.clear();
  expected.perplexity.clear();
  expected.differences.clear();
  expect_same_content(read_result(path_).result, expected);
}

TEST_F(ResultReaderTest, ObjectDigestsMayBeAbsentButNothingElseMayStandBesideThem) {
  write_result(full_result(), path_);
  EXPECT_TRUE(read_object_table(hdf5::open_read_only(path_)).has_value());
  edit_result(path_, [](const hdf5::Handle& file) {
    remove_link(file, "/provenance/object_names");
    remove_link(file, "/provenance/object_sha256");
  });
  EXPECT_FALSE(read_object_table(hdf5::open_read_only(path_)).has_value());
  expect_same_content(read_result(path_).result, full_result());
  edit_result(path_, [](const hdf5::Handle& file) {
    add_empty_dataset(file, "/provenance/other", H5T_STD_U8LE, {1});
  });
  EXPECT_THAT(error_text([&] { read_result(path_); }), HasSubstr("found other"));
}

TEST_F(ResultReaderTest, TheTableHoldsTheDigestOfEachObject) {
  write_result(full_result(), path_);
  const hdf5::Handle file = hdf5::open_read_only(path_);
  const auto table = read_object_table(file);
  const ContentDigests digests = content_digests(file);
  ASSERT_TRUE(table.has_value());
  ASSERT_EQ(table->paths.size(), digests.objects.size());
  ASSERT_EQ(table->sha256.size(), digests.objects.size());
  for (std::size_t i = 0; i < digests.objects.size(); ++i) {
    EXPECT_EQ(table->paths[i], digests.objects[i].path);
    EXPECT_EQ(table->sha256[i], digests.objects[i].sha256);
  }
}

TEST_F(ResultReaderTest, EachPartTellsItsFirstProblem) {
  write_result(full_result(), path_);
  edit_result(path_, [](const hdf5::Handle& file) {
    remove_link(file, "/weights/model.layers.0.mlp.gate_proj/amax");
    remove_link(file, "/perplexity/bf16/nll");
  });
  const ResultParts parts = read_result_parts(hdf5::open_read_only(path_), path_);
  ASSERT_EQ(parts.problems.size(), 2u);
  EXPECT_THAT(parts.problems[0].what(), HasSubstr("/weights/model.layers.0.mlp.gate_proj"));
  EXPECT_THAT(parts.problems[1].what(), HasSubstr("/perplexity/bf16"));
  EXPECT_EQ(parts.result.activations.size(), full_result().activations.size());
}

TEST_F(ResultReaderTest, CopiesOfATensorAreTensors) {
  // A tool that copies a file may copy what was linked: the digest stays, the aliases go.
  const std::string digest = write_result(full_result(), path_);
  edit_result(path_, [](const Handle& file) {
    const std::string layer = "activations/model.layers.0.self_attn.";
    remove_link(file, layer + "k_proj");
    FP8CAL_HDF5(H5Ocopy(file.id(), (layer + "q_proj").c_str(), file.id(),
                        (layer + "k_proj").c_str(), H5P_DEFAULT, H5P_DEFAULT));
  });
  const StoredResult stored = read_result(path_);
  EXPECT_EQ(stored.digest, digest);
  EXPECT_EQ(stored.result.activations.size(), 4u);
  EXPECT_EQ(stored.result.activation_aliases.size(), 2u);
  EXPECT_EQ(write_result(stored.result, path_), digest);
}

TEST_F(ResultReaderTest, TheKeyOfUnknownNamesIsTheFirst) {
  write_result(full_result(), path_);
  edit_result(path_, [](const Handle& file) {
    add_hard_link(file, "activations/model.layers.0.self_attn.k", "activations/z");
    add_hard_link(file, "activations/model.layers.0.self_attn.k", "activations/a");
  });
  const Result result = read_result(path_).result;
  EXPECT_TRUE(result.activations.contains("a"));
  EXPECT_EQ(result.activation_aliases.at("z"), "a");
  EXPECT_EQ(result.activation_aliases.at("model.layers.0.self_attn.k"), "a");
}

TEST_F(ResultReaderTest, RefusesWhatIsNoResultFile) {
  const std::string missing = temporary_.path() / "missing.h5";
  EXPECT_THAT(error_text([&] { read_result(missing); }),
              AllOf(StartsWith(missing), HasSubstr("No such file")));
  const fs::path text = temporary_.write("text.h5", "no HDF5");
  EXPECT_THAT(error_text([&] { read_result(text); }), StartsWith(text.string() + ": format"));
  EXPECT_THAT(refusal_of([](const Handle& file) { remove_attribute(file, "format"); }),
              HasSubstr("result.h5:/: attribute: expected format, found none"));
  EXPECT_THAT(refusal_of([](const Handle& file) {
                remove_attribute(file, "format");
                hdf5::write_attribute(file, "format", "other\nline");
              }),
              HasSubstr("format: expected fp8cal, found other?line"));
  EXPECT_THAT(refusal_of([](const Handle& file) { remove_attribute(file, "format_version"); }),
              HasSubstr("expected format_version, found none"));
  EXPECT_THAT(refusal_of([](const Handle& file) {
                remove_attribute(file, "format_version");
                hdf5::write_attribute(file, "format_version", std::int64_t{2});
              }),
              HasSubstr("format_version: expected 1, found 2"));
}

TEST_F(ResultReaderTest, RefusesAWrongOrMissingDigest) {
  const std::string digest = write_result(full_result(), path_);
  EXPECT_THAT(
      refusal_of([](const Handle& file) { remove_attribute(file, "content_digest"); }, false),
      HasSubstr("expected content_digest, found none"));
  const std::string changed = refusal_of(
      [](const Handle& file) {
        const Handle nll = hdf5::open_dataset(file, "perplexity/bf16/nll");
        std::vector<float> values(6, 1.0f);
        FP8CAL_HDF5(
            H5Dwrite(nll.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
      },
      false);
  EXPECT_THAT(changed,
              StartsWith(path_.string() + ":/: content digest: expected " + digest + ", found "));
}

TEST_F(ResultReaderTest, RefusesATruncatedFile) {
  write_result(full_result(), path_);
  fs::resize_file(path_, fs::file_size(path_) / 2);
  EXPECT_THAT(error_text([&] { read_result(path_); }), StartsWith(path_.string()));
}

}  // namespace
}  // namespace fp8cal
