#include "jobs/profile_file.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "consistent_result.hpp"
#include "coordinator/audit/comparison.hpp"
#include "coordinator/audit/verify.hpp"
#include "jobs/profile_group.hpp"
#include "jobs/result_reader.hpp"
#include "jobs/result_writer.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/full_result.hpp"
#include "tests/unit/latency_profile_fixture.hpp"
#include "tests/unit/result_edits.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using hdf5::Handle;
using ::testing::AllOf;
using ::testing::HasSubstr;

void expect_same(const LatencyProfile& found, const LatencyProfile& expected) {
  const auto texts = [](const LatencyProfile& one) {
    return std::tie(one.version, one.time, one.command_line, one.model, one.scales, one.backend,
                    one.places, one.native_fp8, one.planned_bytes, one.peak_bytes);
  };
  EXPECT_EQ(texts(found), texts(expected));
  const auto ceilings = [](const Ceilings& one) {
    return std::tie(one.bytes_per_s, one.bf16_flop_per_s, one.fp8_flop_per_s,
                    one.gather_bytes_per_s);
  };
  EXPECT_EQ(ceilings(found.ceilings), ceilings(expected.ceilings));
  const auto pass = [](const ProfiledPass& one) {
    return std::tie(one.key, one.latency.median, one.latency.p95, one.latency.runs);
  };
  const auto cause = [](const CauseTime& one) {
    return std::tie(one.calls, one.seconds, one.flop, one.bytes);
  };
  ASSERT_EQ(found.passes.size(), expected.passes.size());
  for (std::size_t i = 0; i < found.passes.size(); ++i) {
    EXPECT_TRUE(pass(found.passes[i]) == pass(expected.passes[i])) << i;
    for (std::size_t j = 0; j < kCauses; ++j) {
      EXPECT_EQ(cause(found.passes[i].causes[j]), cause(expected.passes[i].causes[j])) << i;
    }
  }
  const auto unfit = [](const UnfitPass& one) {
    return std::tie(one.key, one.needed_bytes, one.budget_bytes);
  };
  ASSERT_EQ(found.unfit.size(), expected.unfit.size());
  for (std::size_t i = 0; i < found.unfit.size(); ++i) {
    EXPECT_TRUE(unfit(found.unfit[i]) == unfit(expected.unfit[i])) << i;
  }
  const auto check = [](const DecodeCheck& one) {
    return std::tie(one.variant, one.kv, one.tokens, one.mean_difference, one.most_difference,
                    one.same_bits);
  };
  ASSERT_EQ(found.checks.size(), expected.checks.size());
  for (std::size_t i = 0; i < found.checks.size(); ++i) {
    EXPECT_EQ(check(found.checks[i]), check(expected.checks[i])) << i;
  }
}

class ProfileFileTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(H5Fget_obj_count(hid_t{H5F_OBJ_ALL}, H5F_OBJ_ALL), 0); }

  TempFolder temporary_;
  const fs::path profile_path_ = temporary_.path() / "profile.h5";
  const fs::path result_ = temporary_.path() / "result.h5";
  const LatencyProfile profile_ = latency_profile_fixture();
};

TEST_F(ProfileFileTest, TheFixtureHasAllKindsOfPasses) {
  EXPECT_EQ(profile_.passes.size() + profile_.unfit.size(), 12u * (11 + 8));
  EXPECT_GT(profile_.unfit.size(), 8u);
  EXPECT_LT(profile_.unfit.size(), 30u);
}

TEST_F(ProfileFileTest, ComesBackAsItWasWritten) {
  write_profile_file(profile_path_, profile_);
  expect_same(read_profile(profile_path_).value(), profile_);
  EXPECT_TRUE(is_profile_file(profile_path_));
  EXPECT_THAT(error_text([&] { read_result(profile_path_); }), HasSubstr("format"));
}

TEST_F(ProfileFileTest, NothingMeasuredIsAProfileToo) {
  write_profile_file(profile_path_, {});
  expect_same(read_profile(profile_path_).value(), {});
}

TEST_F(ProfileFileTest, AResultHasNoneUntilItIsAdded) {
  const std::string digest = write_result(full_result(), result_);
  EXPECT_FALSE(read_profile(result_).has_value());
  EXPECT_FALSE(is_profile_file(result_));
  add_profile(result_, result_, profile_);
  expect_same(read_profile(result_).value(), profile_);
  const StoredResult stored = read_result(result_);
  EXPECT_EQ(stored.digest, digest);
  EXPECT_EQ(stored.result.provenance, full_result().provenance);
  expect_same_content(stored.result, full_result());
  EXPECT_FALSE(is_profile_file(result_));
}

TEST_F(ProfileFileTest, AnotherReplacesIt) {
  const fs::path copy = temporary_.path() / "copy.h5";
  write_result(full_result(), result_);
  add_profile(result_, copy, {});
  const auto size = fs::file_size(copy);
  add_profile(copy, copy, profile_);
  expect_same(read_profile(copy).value(), profile_);
  add_profile(copy, copy, {});
  EXPECT_EQ(fs::file_size(copy), size);
  EXPECT_FALSE(read_profile(result_).has_value());
}

TEST_F(ProfileFileTest, WhatTheResultHasBesidesStays) {
  write_result(full_result(), result_);
  const std::string kSetting = "perplexity/bf16/nll";
  const auto chunk = [&](const Handle& file) {  // as h5repack would
    const auto nll = full_result().perplexity.at("bf16").nll;
    remove_link(file, kSetting);
    add_empty_dataset(file, kSetting, H5T_IEEE_F32BE, {2, 3});
    const Handle dataset = hdf5::open_dataset(file, kSetting);
    FP8CAL_HDF5(
        H5Dwrite(dataset.id(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, nll.data()));
    hdf5::write_attribute(dataset, "units", "nats");
  };
  edit_result(result_, chunk);
  add_profile(result_, result_, profile_);
  const Handle file = hdf5::open_read_only(result_);
  const Handle type = hdf5::type_of(hdf5::open_dataset(file, kSetting));
  EXPECT_GT(FP8CAL_HDF5(H5Tequal(type.id(), H5T_IEEE_F32BE)), 0);
  std::set<std::string> targets;
  const Handle activations = hdf5::open_group(file, "activations");
  for (const hdf5::Link& link : hdf5::hard_links(activations, 64)) targets.insert(link.target);
  EXPECT_EQ(targets.size(), full_result().activations.size());  // aliases still are links
}

TEST_F(ProfileFileTest, NothingIsLeftOfWhatCannotBeWritten) {
  write_result(full_result(), result_);
  LatencyProfile broken = profile_;
  broken.passes[3].latency.median = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(error_text([&] { write_profile_file(profile_path_, broken); }),
              AllOf(HasSubstr("/profile/passes/median_s"), HasSubstr("nan")));
  EXPECT_THAT(error_text([&] { add_profile(result_, result_, broken); }), HasSubstr("median_s"));
  EXPECT_FALSE(read_profile(result_).has_value());
  EXPECT_THAT(error_text([&] { add_profile(profile_path_, result_, profile_); }),
              HasSubstr("profile.h5"));
  const auto files = std::distance(fs::directory_iterator(temporary_.path()), {});
  EXPECT_EQ(files, 1);
}

TEST_F(ProfileFileTest, AuditsDoNotSeeAProfile) {
  write_result(consistent_result(), result_);
  const fs::path profiled = temporary_.path() / "profiled.h5";
  add_profile(result_, profiled, profile_);
  EXPECT_TRUE(verify(profiled, 1).findings.empty());
  EXPECT_FALSE(compare(read_result(result_), read_result(profiled), {}).cause);
}

TEST_F(ProfileFileTest, ABrokenProfileIsAFindingAlone) {
  write_result(consistent_result(), result_);
  add_profile(result_, result_, profile_);
  edit_result(
      result_, [](const Handle& file) { remove_link(file, "profile/passes/kv"); }, false);
  EXPECT_NO_THROW(read_result(result_));
  const Verification done = verify(result_, 1);
  ASSERT_EQ(done.findings.count(), 1u);
  EXPECT_THAT(text_of(done.findings.kept().front()), HasSubstr("/profile/passes"));
  EXPECT_TRUE(done.numbers_checked);
  EXPECT_EQ(done.objects.stored, done.objects.computed);
}

/// Profiles that nothing measures.
class HostileProfileTest : public ProfileFileTest {
 protected:
  void SetUp() override { write_profile_file(original_, profile_); }

  template <class Edit>
  void expect_refused(Edit edit, const std::string& where, const std::string& why) {
    fs::copy_file(original_, profile_path_, fs::copy_options::overwrite_existing);
    edit_result(profile_path_, edit, false);
    EXPECT_THAT(error_text([&] { read_profile(profile_path_); }),
                AllOf(HasSubstr("profile.h5:/" + where), HasSubstr(why)));
  }

  void expect_dataset_refused(const std::string& name, hid_t type, const hdf5::Shape& shape,
                              const std::string& why) {
    const auto replace = [&](const Handle& file) {
      remove_link(file, name);
      add_empty_dataset(file, name, type, shape);
    };
    expect_refused(replace, name, why);
  }

  /// Writes another profile, past what checks it.
  void expect_refused_profile(const std::function<void(LatencyProfile&)>& change,
                              const std::string& where, const std::string& why) {
    LatencyProfile changed = profile_;
    change(changed);
    const auto replace = [&](const Handle& file) {
      remove_link(file, "profile");
      write_profile_group(file, changed);
    };
    expect_refused(replace, "profile" + where, why);
  }

  const fs::path original_ = temporary_.path() / "original.h5";
};

TEST_F(HostileProfileTest, RefusesTypesAndShapes) {
  const hsize_t passes = profile_.passes.size();
  const std::string is = "expected [" + std::to_string(passes);
  expect_dataset_refused("profile/passes/median_s", H5T_IEEE_F32LE, {passes}, "expected f64");
  expect_dataset_refused("profile/passes/median_s", H5T_IEEE_F64LE, {passes - 1}, is + "]");
  expect_dataset_refused("profile/passes/tokens", H5T_STD_I64LE, {passes}, "expected u64");
  expect_dataset_refused("profile/passes/kv", H5T_STD_U8LE, {passes}, "fixed-length strings");
  expect_dataset_refused("profile/passes/variant", H5T_C_S1, {passes, 1}, "one dimension");
  expect_dataset_refused("profile/causes/seconds", H5T_IEEE_F64LE, {passes * kCauses}, is + ", 6]");
  expect_dataset_refused("profile/causes/calls", H5T_STD_U64LE, {passes, 5}, is + ", 6]");
  expect_dataset_refused("profile/checks/same_bits", H5T_STD_I8LE, {12}, "expected u8");
  expect_dataset_refused("profile/places", H5T_C_S1, {}, "one dimension");
}

TEST_F(HostileProfileTest, RefusesSizes) {
  constexpr hsize_t kHuge = hsize_t{1} << 24;
  expect_dataset_refused("profile/passes/variant", H5T_C_S1, {kHuge}, "at most 4096 elements");
  expect_dataset_refused("profile/passes/median_s", H5T_IEEE_F64LE, {kHuge}, "found [16777216");
  expect_dataset_refused("profile/passes/phase", H5T_C_S1, {kHuge}, "elements");
  expect_dataset_refused("profile/places", H5T_C_S1, {(1 << 16) + 1}, "at most 65536 ranks");
  expect_dataset_refused("profile/causes/flop", H5T_IEEE_F64LE, {kHuge / 8, 6},
                         "found [2097152, 6]");
}

TEST_F(HostileProfileTest, RefusesWhatIsMissingOrTooMuch) {
  for (const char* name : {"profile/passes", "profile/causes", "profile/unfit", "profile/checks"}) {
    expect_refused([&](const Handle& file) { remove_link(file, name); }, "profile", "group");
  }
  expect_refused([](const Handle& file) { remove_link(file, "profile"); }, "", "profile");
  expect_refused([](const Handle& file) { remove_link(file, "profile/passes/p95_s"); },
                 "profile/passes", "expected p95_s");
  expect_refused([](const Handle& file) { hdf5::create_group(file, "profile/new"); }, "profile",
                 "found new");
  expect_refused([](const Handle& file) { hdf5::create_group(file, "job"); }, "", "found job");
  expect_refused([](const Handle& file) { hdf5::write_attribute(file, "x", "y"); }, "",
                 "format_version = 1 alone");
  const auto edit_group = [&](const auto& edit, const std::string& where, const std::string& why) {
    expect_refused([&](const Handle& file) { edit(hdf5::open_group(file, "profile")); },
                   "profile" + where, why);
  };
  edit_group([](const Handle& group) { remove_attribute(group, "model"); }, "/model", "found none");
  edit_group([](const Handle& group) { hdf5::write_attribute(group, "x", "y"); }, "/x",
             "documented ones only");
  expect_refused(
      [](const Handle& file) {
        const Handle dataset = hdf5::open_dataset(file, "profile/passes/median_s");
        remove_attribute(dataset, "units");
        hdf5::write_attribute(dataset, "units", "ms");
      },
      "profile/passes/median_s", "units = s alone");
}

TEST_F(HostileProfileTest, RefusesLinksOutOfTheFile) {
  for (const bool soft : {true, false}) {
    const auto link = [&](const Handle& file) {
      remove_link(file, "profile");
      FP8CAL_HDF5(soft ? H5Lcreate_soft("/other", file.id(), "profile", H5P_DEFAULT, H5P_DEFAULT)
                       : H5Lcreate_external("original.h5", "/profile", file.id(), "profile",
                                            H5P_DEFAULT, H5P_DEFAULT));
    };
    expect_refused(link, "", "another kind of link");
  }
}

TEST_F(HostileProfileTest, RefusesValues) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  using Change = std::function<void(LatencyProfile&)>;
  const struct {
    Change change;
    const char* where;
    const char* why;
  } cases[] = {
      {[](auto& p) { p.passes[1].latency.median = 0; }, "/passes/median_s", "above 0"},
      {[](auto& p) { p.passes[1].latency.p95 = HUGE_VAL; }, "/passes/p95_s", "found inf"},
      {[](auto& p) { p.passes[1].latency.p95 *= 0.5; }, "/passes/p95_s", "not below the median"},
      {[](auto& p) { p.passes[1].latency.runs = 0; }, "/passes/runs", "found 0"},
      {[](auto& p) { p.passes[1].key.sequences = 2; }, "/passes/sequences", "1 for prefill"},
      {[](auto& p) { p.passes[1].key.tokens = 1u << 30; }, "/passes/tokens", "1 to 268435456"},
      {[](auto& p) { p.passes[1].key.kv = "int8"; }, "/passes/kv",
       "bf16, e4m3 or e5m2, found int8"},
      {[](auto& p) { p.passes[1].key.variant = ""; }, "/passes/variant", "a name of letters"},
      {[](auto& p) { p.passes[1].key.variant = "<b>"; }, "/passes/variant", "a name of letters"},
      {[](auto& p) { p.passes[1].key.variant = std::string(257, 'x'); }, "/passes/variant",
       "at most 256 bytes"},
      {[](auto& p) { p.passes[1].key = p.passes[0].key; }, "/passes", "twice"},
      {[](auto& p) {
         for (std::size_t i = 0; i < 40; ++i) p.passes[i].key.variant = fmt::format("v{}", i);
       },
       "/passes", "at most 32"},
      {[](auto& p) { p.unfit[0].key = p.passes[0].key; }, "/unfit", "twice"},
      {[](auto& p) { p.unfit[0].needed_bytes = ~std::uint64_t{0}; }, "/unfit/needed_bytes", "0 to"},
      {[&](auto& p) { p.passes[1].causes[2].seconds = kNan; }, "/causes/seconds", "found nan"},
      {[](auto& p) { p.passes[1].causes[2].flop = -1; }, "/causes/flop", "found -1"},
      {[](auto& p) { p.passes[1].causes[2].bytes = 1e31; }, "/causes/bytes", "at most 1e30"},
      {[](auto& p) { p.checks[0].mean_difference = HUGE_VAL; }, "/checks/mean_difference", "inf"},
      {[](auto& p) { p.checks[0].most_difference = -1; }, "/checks/most_difference", "found -1"},
      {[&](auto& p) { p.ceilings.bytes_per_s = kNan; }, "/bytes_per_s", "found nan"},
      {[](auto& p) { p.peak_bytes = ~std::uint64_t{0}; }, "/peak_bytes", "found -1"},
      {[](auto& p) { p.command_line = std::string(40000, 'x') + std::string(30000, 'y'); }, "",
       "command_line"},
  };
  for (const auto& [change, where, why] : cases) expect_refused_profile(change, where, why);
}

TEST_F(HostileProfileTest, RefusesUnknownCauses) {
  const auto with = [](const std::vector<std::string>& names) {
    return [names](const Handle& file) {
      remove_link(file, "profile/causes/names");
      hdf5::write_dataset(hdf5::open_group(file, "profile/causes"), "names", names);
    };
  };
  expect_refused(with({"products", "attention", "magic", "norms", "collectives", "gaps"}),
                 "profile/causes/names", "expected scaling, found 'magic'");
  expect_refused(with({"products"}), "profile/causes/names", "expected attention, found none");
  expect_refused(with({"products", "attention", "scaling", "norms", "collectives", "gaps", "a\nb"}),
                 "profile/causes/names", "no more names, found 'a?b'");
}

}  // namespace
}  // namespace fp8cal
