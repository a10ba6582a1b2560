#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>

#include "jobs/result_parts.hpp"
#include "jobs/result_reader.hpp"
#include "jobs/result_writer.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/full_result.hpp"
#include "tests/unit/result_edits.hpp"
#include "tests/unit/result_random_edits.hpp"
#include "tests/unit/temp_folder.hpp"

// HDF5 1.10 itself loses some hundred bytes for each object header whose checksum is wrong.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using hdf5::Handle;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kTensor = "activations/model.layers.0.self_attn.q_proj";
const std::string kScales = "scales/fp8-static/model.layers.0.self_attn";

/// The writer writes each part, also an empty one.
bool has_all_parts(const fs::path& path) {
  const Handle file = hdf5::open_read_only(path);
  const std::vector<hdf5::Link> links = hdf5::hard_links(file, 64);
  return std::ranges::count_if(links, [](const hdf5::Link& link) {
           return link.name != "provenance" && link.name != "profile";
         }) == 6;
}

/// Files whose digest is right, and whose content no calibration writes.
class ResultReaderHostileTest : public ::testing::Test {
 protected:
  template <class Edit>
  void expect_refused(Edit edit, const std::string& where, const std::string& why) {
    fs::copy_file(original_, path_, fs::copy_options::overwrite_existing);
    edit_result(path_, edit);
    EXPECT_THAT(error_text([&] { read_result(path_); }),
                AllOf(HasSubstr("result.h5:/" + where), HasSubstr(why)));
  }

  void expect_dataset_refused(const std::string& name, hid_t type, const hdf5::Shape& shape,
                              const std::string& why) {
    const auto replace = [&](const Handle& file) {
      remove_link(file, name);
      add_empty_dataset(file, name, type, shape);
    };
    expect_refused(replace, name, why);
  }

  template <class T>
  void expect_values_refused(const std::string& name, std::vector<T> values,
                             const std::string& why) {
    const auto replace = [&](const Handle& file) {
      remove_link(file, name);
      hdf5::write_dataset(file, name, {values.size()}, std::span<const T>(values));
    };
    expect_refused(replace, name, why);
  }

  template <class Value>
  void expect_attribute_refused(const std::string& object, const std::string& name,
                                const Value& value, const std::string& why) {
    const auto replace = [&](const Handle& file) {
      const Handle opened(FP8CAL_HDF5(H5Oopen(file.id(), ("/" + object).c_str(), H5P_DEFAULT)));
      if (FP8CAL_HDF5(H5Aexists(opened.id(), name.c_str())) > 0) remove_attribute(opened, name);
      hdf5::write_attribute(opened, name, value);
    };
    expect_refused(replace, object, why);
  }

  void SetUp() override { write_result(full_result(), original_); }
  void TearDown() override { EXPECT_EQ(H5Fget_obj_count(hid_t{H5F_OBJ_ALL}, H5F_OBJ_ALL), 0); }

  TempFolder temporary_;
  const fs::path original_ = temporary_.path() / "original.h5";
  const fs::path path_ = temporary_.path() / "result.h5";
};

TEST_F(ResultReaderHostileTest, RefusesTypes) {
  expect_dataset_refused(kTensor + "/histogram", H5T_STD_I64LE, {32768}, "expected u64");
  expect_dataset_refused(kTensor + "/channel_amax", H5T_IEEE_F64LE, {3}, "expected f32");
  expect_dataset_refused("job/sample_ids", H5T_STD_I32LE, {70}, "expected u32");
  expect_dataset_refused("perplexity/fp8-static/same_top", H5T_STD_I8LE, {2, 3}, "expected u8");
  expect_dataset_refused(kScales + "/k_scale", H5T_C_S1, {1}, "expected f32");
  expect_attribute_refused("perplexity/bf16", "ppl", "5", "as documented, found another type");
  expect_attribute_refused("perplexity/bf16", "tokens", 6.0, "as documented, found another type");
}

TEST_F(ResultReaderHostileTest, RefusesShapes) {
  expect_dataset_refused(kTensor + "/histogram", H5T_STD_U64LE, {32767},
                         "expected [32768], found [32767]");
  expect_dataset_refused(kTensor + "/amax", H5T_IEEE_F32LE, {1}, "expected [], found [1]");
  expect_dataset_refused(kTensor + "/amax_after_sequences", H5T_STD_U32LE, {1},
                         "expected [2], found [1]");
  expect_dataset_refused(kTensor + "/channel_amax", H5T_IEEE_F32LE, {3, 1}, "one dimension");
  expect_dataset_refused("job/sample_ids", H5T_STD_U32LE, {69}, "expected [70], found [69]");
  expect_dataset_refused("job/evaluation_tokens", H5T_STD_U32LE, {8}, "windows");
  expect_dataset_refused("job/evaluation_tokens", H5T_STD_U32LE, {8, 0}, "windows");
  expect_dataset_refused("perplexity/bf16/nll", H5T_IEEE_F32LE, {3, 2}, "expected [2, 3]");
  expect_dataset_refused("perplexity/fp8-static/kl", H5T_IEEE_F32LE, {6}, "expected [2, 3]");
  expect_dataset_refused(kScales + "/k_scale", H5T_IEEE_F32LE, {0}, "found none");
}

TEST_F(ResultReaderHostileTest, RefusesSizes) {
  constexpr hsize_t kHuge = hsize_t{1} << 40;
  expect_dataset_refused("job/sample_ids", H5T_STD_U32LE, {1 << 20}, "expected [70]");
  expect_dataset_refused(kTensor + "/channel_amax", H5T_IEEE_F32LE, {(1 << 22) + 1},
                         "at most 4194304 elements");
  expect_dataset_refused(kTensor + "/amax_after", H5T_IEEE_F32LE, {65}, "at most 64");
  expect_dataset_refused("job/evaluation_tokens", H5T_STD_U32LE, {1, (1 << 20) + 1}, "windows");
  // These have no digest.
  for (const char* name : {"job/calibration_tokens", "perplexity/bf16/nll", "weights/new"}) {
    fs::copy_file(original_, path_, fs::copy_options::overwrite_existing);
    const auto grow = [&](const Handle& file) {
      if (H5Lexists(file.id(), name, H5P_DEFAULT) > 0) remove_link(file, name);
      add_empty_dataset(file, name, H5T_STD_U32LE, {kHuge});
    };
    edit_result(path_, grow, false);
    EXPECT_THAT(error_text([&] { read_result(path_); }), HasSubstr("expected at most"));
  }
}

TEST_F(ResultReaderHostileTest, RefusesMoreMemoryThanIsSetAside) {
  const Handle file = hdf5::open_read_only(original_);
  for (const std::size_t bytes : {0u, 1000u, 100'000u, 500'000u}) {
    Result result;
    MemoryBudget budget(bytes);
    const auto read = [&] { read_activations(BoundedGroup(file, "/", 8, budget), result); };
    EXPECT_THAT(error_text(read), HasSubstr("more than the memory set aside")) << bytes;
  }
}

TEST_F(ResultReaderHostileTest, RefusesAMillionEmptyStrings) {
  const auto add = [](const Handle& file) {
    const Handle group = hdf5::open_group(file, "provenance");
    hdf5::write_attribute(group, "odd", std::vector<std::string>((1 << 20) + 1));
  };
  expect_refused(add, "provenance attribute odd", "at most 1048576 elements");
}

TEST_F(ResultReaderHostileTest, RefusesTinyAndHugeChunks) {
  const auto chunked = [](hsize_t size, hsize_t chunk) {
    return [=](const Handle& file) {
      remove_link(file, "job/sample_ids");
      const Handle space(FP8CAL_HDF5(H5Screate_simple(1, &size, nullptr)));
      const Handle properties(FP8CAL_HDF5(H5Pcreate(H5P_DATASET_CREATE)));
      FP8CAL_HDF5(H5Pset_chunk(properties.id(), 1, &chunk));
      const Handle dataset(
          FP8CAL_HDF5(H5Dcreate2(file.id(), "job/sample_ids", H5T_STD_U32LE, space.id(),
                                 H5P_DEFAULT, properties.id(), H5P_DEFAULT)));
    };
  };
  for (const auto& [size, chunk] : {std::pair<hsize_t, hsize_t>{(1 << 17) + 1, 1},
                                    std::pair<hsize_t, hsize_t>{1 << 27, (1 << 26) + 1}}) {
    fs::copy_file(original_, path_, fs::copy_options::overwrite_existing);
    edit_result(path_, chunked(size, chunk), false);
    EXPECT_THAT(error_text([&] { read_result(path_); }), HasSubstr("sample_ids: storage"));
  }
}

TEST_F(ResultReaderHostileTest, RefusesValues) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  expect_values_refused<float>(kTensor + "/channel_amax", {1.0f, kNan}, "found nan");
  expect_values_refused<float>("weights/model.layers.0.mlp.gate_proj/channel_amax", {-1.0f},
                               "not negative, found -1");
  expect_values_refused<float>(kScales + "/k_scale", {0.0f}, "above 0, found 0");
  expect_attribute_refused("diagnostics/fp8-static/model.layers.0.self_attn.q_proj", "clipped",
                           std::int64_t{-1}, "a count, found -1");
  expect_attribute_refused("diagnostics/fp8-static/model.layers.0.self_attn.q_proj", "energy", -1.0,
                           "a sum of squares, found -1");
  const auto overwrite_bin = [](std::size_t bin, std::uint64_t count) {
    return [=](const Handle& file) {
      const Handle histogram = hdf5::open_dataset(file, kTensor + "/histogram");
      std::vector<std::uint64_t> counts(32768);
      counts[bin] = count;
      FP8CAL_HDF5(H5Dwrite(histogram.id(), H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                           counts.data()));
    };
  };
  expect_refused(overwrite_bin(5, std::uint64_t{1} << 48), kTensor + "/histogram", "2^47");
  expect_refused(overwrite_bin(0x7F80, 1), kTensor + "/histogram", "no infinity and no NaN");
  expect_refused(overwrite_bin(0x3F80, 1), kTensor + "/amax", "expected 1, found 3.5");
}

TEST_F(ResultReaderHostileTest, RefusesFiguresThatThePredictionsDoNotGive) {
  expect_attribute_refused("perplexity/bf16", "ppl", 5.75, "expected 5.754");
  expect_attribute_refused("perplexity/bf16", "tokens", std::int64_t{5}, "expected 6, found 5");
  expect_attribute_refused("perplexity/fp8-static", "mean_kl", 0.0, "expected 0.2499");
  expect_attribute_refused("perplexity/fp8-static", "top1_agreement", 1.0, "found 1");
}

TEST_F(ResultReaderHostileTest, RefusesOtherKindsOfObjects) {
  const auto group_for = [](const std::string& name) {
    return [name](const Handle& file) {
      remove_link(file, name);
      hdf5::create_group(file, name);
    };
  };
  // The message names what was looked for and where.
  expect_refused(group_for(kTensor + "/histogram"), kTensor, "dataset: expected histogram");
  expect_refused(group_for("perplexity/bf16/nll"), "perplexity/bf16", "dataset: expected nll");
  expect_refused(group_for("job/evaluation_tokens"), "job", "expected evaluation_tokens");
  for (const char* name : {"job", "weights", "perplexity/bf16"}) {
    const auto dataset_for = [&](const Handle& file) {
      remove_link(file, name);
      add_empty_dataset(file, name, H5T_STD_U32LE, {1});
    };
    expect_refused(dataset_for, "", "no readable group of that name");
  }
}

TEST_F(ResultReaderHostileTest, RefusesNames) {
  for (const std::string name : {"weights/..", "weights/two words", "weights/line\nbreak",
                                 "weights/\xC3\xBC", "weights/-", "scales/\x1B[31m"}) {
    expect_refused([&](const Handle& file) { hdf5::create_group(file, name); }, "",
                   "name of letters");
  }
  expect_refused(
      [](const Handle& file) { hdf5::create_group(file, "weights/" + std::string(257, 'x')); },
      "weights", "at most 256 bytes");
  expect_attribute_refused("job", "a\nb", std::int64_t{1}, "found 'a?b'");
}

TEST_F(ResultReaderHostileTest, RefusesWhatTheFormatDoesNotKnow) {
  const auto add = [](const std::string& name) {
    return [name](const Handle& file) { hdf5::create_group(file, name); };
  };
  expect_refused(add("new"), "", "perplexity only, found new");
  expect_refused(add(kTensor + "/new"), kTensor, "found new");
  expect_refused(add("job/new"), "job", "found new");
  expect_attribute_refused("", "new", "x", "content_digest only");
  expect_attribute_refused("weights", "new", "x", "attribute: expected none");
  expect_attribute_refused("perplexity/bf16", "mean_kl", 0.5, "documented ones only");
  expect_attribute_refused("perplexity/bf16/nll", "units", "bits", "units = nats alone");
  expect_attribute_refused(kTensor + "/amax", "units", "volts", "expected none");
}

TEST_F(ResultReaderHostileTest, RefusesDepth) {
  fs::copy_file(original_, path_, fs::copy_options::overwrite_existing);
  const auto nest = [](const Handle& file) {
    std::string path = "weights";
    for (int i = 0; i < 20; ++i) hdf5::create_group(file, path += "/a");
  };
  edit_result(path_, nest, false);
  EXPECT_THAT(error_text([&] { read_result(path_); }), HasSubstr("at most 16 levels"));
}

TEST_F(ResultReaderHostileTest, FollowsNoLinkOutOfTheFile) {
  // The digest leaves out /provenance: nobody has looked at it before.
  for (const bool soft : {true, false}) {
    const auto link = [&](const Handle& file) {
      remove_link(file, "provenance");
      FP8CAL_HDF5(soft ? H5Lcreate_soft("/job", file.id(), "provenance", H5P_DEFAULT, H5P_DEFAULT)
                       : H5Lcreate_external("original.h5", "/job", file.id(), "provenance",
                                            H5P_DEFAULT, H5P_DEFAULT));
    };
    expect_refused(link, "", "provenance, another kind of link");
  }
}

TEST_F(ResultReaderHostileTest, RefusesProvenanceThatIsNoText) {
  const auto with_attribute = [](hid_t type) {
    return [type](const Handle& file) {
      const Handle group = hdf5::open_group(file, "provenance");
      const Handle space(FP8CAL_HDF5(H5Screate(H5S_SCALAR)));
      const Handle attribute(
          FP8CAL_HDF5(H5Acreate2(group.id(), "odd", type, space.id(), H5P_DEFAULT, H5P_DEFAULT)));
    };
  };
  const Handle variable(FP8CAL_HDF5(H5Tcopy(H5T_C_S1)));
  FP8CAL_HDF5(H5Tset_size(variable.id(), H5T_VARIABLE));
  expect_refused(with_attribute(variable.id()), "provenance attribute odd", "fixed-length");
  expect_refused(with_attribute(H5T_STD_REF_OBJ), "provenance attribute odd", "expected f64");
  expect_refused(with_attribute(H5T_STD_U8LE), "provenance attribute odd", "expected i64");
}

TEST_F(ResultReaderHostileTest, RefusesATimelineThatIsNoListOfStrings) {
  const Handle text(FP8CAL_HDF5(H5Tcopy(H5T_C_S1)));
  FP8CAL_HDF5(H5Tset_size(text.id(), 64));
  const auto with = [](hid_t type, const hdf5::Shape& shape) {
    return [type, shape](const Handle& file) {
      add_empty_dataset(file, "provenance/timeline", type, shape);
    };
  };
  expect_refused(with(H5T_STD_U8LE, {4}), "provenance/timeline", "fixed-length strings");
  expect_refused(with(text.id(), {}), "provenance/timeline", "one dimension");
  expect_refused(with(text.id(), {2, 2}), "provenance/timeline", "one dimension");
  expect_refused(with(text.id(), {(1 << 18) + 1}), "provenance/timeline", "elements");
  const auto with_units = [&](const Handle& file) {
    add_empty_dataset(file, "provenance/timeline", text.id(), {1});
    hdf5::write_attribute(hdf5::open_dataset(file, "provenance/timeline"), "units", "s");
  };
  expect_refused(with_units, "provenance/timeline", "attributes");
}

TEST_F(ResultReaderHostileTest, EachFlippedBitIsRefusedOrNoContent) {
  const Result expected = full_result();
  std::ifstream stream(original_, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  std::vector<std::size_t> not_zero;  // mostly HDF5's own structures: few bytes among many counters
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != 0) not_zero.push_back(i);
  }
  std::mt19937_64 random(20240817);
  int refused = 0;
  for (int i = 0; i < 600; ++i) {
    std::string flipped = bytes;
    const std::size_t near = not_zero[random() % not_zero.size()] + random() % 8;
    const std::size_t at = i % 3 == 0 ? random() % bytes.size() : std::min(near, bytes.size() - 1);
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << random() % 8));
    const fs::path path = temporary_.write("flipped.h5", flipped);
    try {
      expect_same_content(read_result(path).result, expected);
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << at;
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

TEST_F(ResultReaderHostileTest, WhateverIsReadIsWrittenAgainAsItWas) {
  std::mt19937_64 random(20240818);
  const Choose choose = [&](std::size_t bound) { return random() % bound; };
  int read = 0;
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    fs::copy_file(original_, path_, fs::copy_options::overwrite_existing);
    try {
      forge_result(path_, 1 + random() % 3, choose);
      const StoredResult stored = read_result(path_);
      const bool whole = has_all_parts(path_);
      const std::string digest = write_result(stored.result, path_);
      EXPECT_EQ(whole ? digest : stored.digest, stored.digest);
      expect_same_content(read_result(path_).result, stored.result);
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << i;
      ++refused;
    }
  }
  EXPECT_GT(read, 25);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace fp8cal
