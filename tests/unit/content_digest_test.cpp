#include "jobs/content_digest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "jobs/error.hpp"
#include "jobs/hdf5_memory_file.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;
using hdf5::Shape;
using Build = std::function<void(const Handle&)>;

std::string digest_of(const Build& build) {
  hdf5::MemoryFile memory;
  build(memory.handle());
  return content_digest(memory.handle());
}

Handle write_numbers(const Handle& parent, const std::string& name, const Shape& shape,
                     const std::vector<std::uint32_t>& values) {
  return hdf5::write_dataset(parent, name, shape, std::span(values));
}

/// A dataset, or an attribute of the root, of any type, without a value.
Handle create(const Handle& file, hid_t type, const Handle& space, bool as_attribute) {
  return Handle(as_attribute ? FP8CAL_HDF5(H5Acreate2(file.id(), "x", type, space.id(), H5P_DEFAULT,
                                                      H5P_DEFAULT))
                             : FP8CAL_HDF5(H5Dcreate2(file.id(), "x", type, space.id(), H5P_DEFAULT,
                                                      H5P_DEFAULT, H5P_DEFAULT)));
}

Handle scalar_space() { return Handle(FP8CAL_HDF5(H5Screate(H5S_SCALAR))); }

std::string u64(std::uint8_t value) { return static_cast<char>(value) + std::string(7, '\0'); }
std::string text(const std::string& value) {
  return u64(static_cast<std::uint8_t>(value.size())) + value;
}

TEST(ContentDigest, IsTheHashOfTheDocumentedBytes) {
  const std::string found = digest_of([](const Handle& file) {
    const Handle group = hdf5::create_group(file, "a");
    const Handle numbers = write_numbers(group, "n", {2, 1}, {1, 258});
    hdf5::write_attribute(numbers, "units", "tokens");
    hdf5::write_attribute(group, "list", std::vector<std::string>{"p", ""});
    hdf5::write_attribute(file, "v", std::int64_t{-2});
    hdf5::create_group(file, "a.b");  // '.' sorts before '/'
  });
  const std::string bytes = text("fp8cal content digest 1") +                                     //
                            "G" + text("/") + u64(1) +                                            //
                            text("v") + text("i64") + u64(0) + "\xFE" + std::string(7, '\xFF') +  //
                            "G" + text("/a") + u64(1) +                                           //
                            text("list") + text("str") + u64(1) + u64(2) + text("p") +
                            text("") +                                                     //
                            "G" + text("/a.b") + u64(0) +                                  //
                            "D" + text("/a/n") + text("u32") + u64(2) + u64(2) + u64(1) +  //
                            std::string("\x01\x00\x00\x00\x02\x01\x00\x00", 8) +           //
                            u64(1) + text("units") + text("str") + u64(0) + text("tokens");
  EXPECT_EQ(found, to_hex(sha256(std::as_bytes(std::span(bytes)))));
}

TEST(ContentDigests, AreThatOfTheWholeAndOfEachPiece) {
  hdf5::MemoryFile memory;
  const Handle& file = memory.handle();
  write_numbers(hdf5::create_group(file, "b"), "n", {1}, {7});
  FP8CAL_HDF5(H5Lcreate_hard(file.id(), "b", file.id(), "a", H5P_DEFAULT, H5P_DEFAULT));
  const ContentDigests digests = content_digests(file);
  EXPECT_EQ(digests.content, content_digest(file));
  std::vector<std::string> paths;
  std::vector<std::size_t> first_names;
  for (const ObjectDigest& one : digests.objects) {
    paths.push_back(one.path);
    first_names.push_back(one.first_name);
    EXPECT_EQ(one.problem, "");
  }
  EXPECT_THAT(paths, testing::ElementsAre("/", "/a", "/a/n", "/b", "/b/n"));
  EXPECT_THAT(first_names, testing::ElementsAre(0, 1, 2, 1, 2));
  const std::string piece = "D" + text("/b/n") + text("u32") + u64(1) + u64(1) +
                            std::string("\x07\x00\x00\x00", 4) + u64(0);
  EXPECT_EQ(digests.objects[4].sha256, to_hex(sha256(std::as_bytes(std::span(piece)))));
  EXPECT_NE(digests.objects[2].sha256, digests.objects[4].sha256);  // the path is part of it
}

TEST(ContentDigests, TellOfEachObjectThatCannotBeRead) {
  hdf5::MemoryFile memory;
  const Handle& file = memory.handle();
  for (const char* name : {"odd", "other"}) {
    const Handle scalar = scalar_space();
    FP8CAL_HDF5(H5Dclose(FP8CAL_HDF5(H5Dcreate2(file.id(), name, H5T_STD_REF_OBJ, scalar.id(),
                                                H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT))));
  }
  write_numbers(file, "plain", {1}, {7});
  const ContentDigests digests = content_digests(file);
  EXPECT_EQ(digests.content, "");
  ASSERT_EQ(digests.objects.size(), 4u);
  for (const std::size_t odd : {1, 2}) {
    EXPECT_EQ(digests.objects[odd].sha256, "");
    EXPECT_THAT(digests.objects[odd].problem, testing::HasSubstr("content digest does not cover"));
  }
  EXPECT_EQ(digests.objects[3].problem, "");
  EXPECT_EQ(digests.objects[3].sha256.size(), 64u);
}

TEST(ContentDigest, IgnoresWhatTwoRunsMayDifferIn) {
  const std::string plain = digest_of([](const Handle&) {});
  EXPECT_EQ(plain, digest_of([](const Handle& file) {
              hdf5::write_attribute(file, "content_digest", "abc");
              const Handle provenance = hdf5::create_group(file, "provenance");
              hdf5::write_attribute(provenance, "host", "n1");
              FP8CAL_HDF5(H5Lcreate_soft("/", provenance.id(), "soft", H5P_DEFAULT, H5P_DEFAULT));
              write_numbers(file, "profile", {1}, {1});
            }));
  EXPECT_NE(plain, digest_of([](const Handle& file) { hdf5::create_group(file, "provenances"); }));
  const std::string nested = digest_of([](const Handle& file) { hdf5::create_group(file, "job"); });
  EXPECT_NE(nested, digest_of([](const Handle& file) {
              hdf5::create_group(hdf5::create_group(file, "job"), "provenance");
            }));
  EXPECT_NE(nested, digest_of([](const Handle& file) {
              hdf5::write_attribute(hdf5::create_group(file, "job"), "content_digest", "abc");
            }));
}

TEST(ContentDigest, IgnoresOrderPaddingAndByteOrderInTheFile) {
  const std::string little = digest_of([](const Handle& file) {
    write_numbers(file, "x", {}, {258});
    hdf5::create_group(file, "y");
    hdf5::write_attribute(file, "a", "text");
    hdf5::write_attribute(file, "b", "");
  });
  const std::string big = digest_of([](const Handle& file) {
    const auto write_padded = [&file](const char* name, const char* value, H5T_str_t padding) {
      const Handle type(FP8CAL_HDF5(H5Tcopy(H5T_C_S1)));
      FP8CAL_HDF5(H5Tset_size(type.id(), 16));
      FP8CAL_HDF5(H5Tset_strpad(type.id(), padding));
      const Handle attribute(FP8CAL_HDF5(
          H5Acreate2(file.id(), name, type.id(), scalar_space().id(), H5P_DEFAULT, H5P_DEFAULT)));
      std::string padded(value);
      padded.resize(16, padding == H5T_STR_SPACEPAD ? ' ' : '\0');
      FP8CAL_HDF5(H5Awrite(attribute.id(), type.id(), padded.data()));
    };
    write_padded("b", "", H5T_STR_NULLTERM);
    write_padded("a", "text", H5T_STR_SPACEPAD);
    hdf5::create_group(file, "y");
    const Handle x = create(file, H5T_STD_U32BE, scalar_space(), false);
    const std::uint32_t value = 258;
    FP8CAL_HDF5(H5Dwrite(x.id(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value));
  });
  EXPECT_EQ(little, big);
}

TEST(ContentDigest, ChangesWithNameTypeShapeAndValue) {
  const std::vector<std::uint32_t> ones = {1, 1};
  const std::vector<float> floats = {1.0f, 1.0f};
  const std::vector<Build> files = {
      [](const Handle&) {},
      [&](const Handle& file) { write_numbers(file, "x", {2}, ones); },
      [&](const Handle& file) { write_numbers(file, "y", {2}, ones); },
      [&](const Handle& file) {
        write_numbers(file, "x", {1, 2}, ones);
      },
      [&](const Handle& file) {
        write_numbers(file, "x", {2, 1}, ones);
      },
      [&](const Handle& file) {
        write_numbers(file, "x", {2}, {1, 2});
      },
      [&](const Handle& file) { write_numbers(file, "x", {0}, {}); },
      [&](const Handle& file) { hdf5::write_dataset(file, "x", {2}, std::span(floats)); },
      [&](const Handle& file) { hdf5::create_group(file, "x"); },
      [&](const Handle& file) { hdf5::write_attribute(file, "x", "1"); },
      [&](const Handle& file) { hdf5::write_attribute(file, "x", "1 "); },
      [&](const Handle& file) { hdf5::write_attribute(file, "x", std::int64_t{1}); },
      [&](const Handle& file) { hdf5::write_attribute(file, "x", 1.0); },
      [&](const Handle& file) { hdf5::write_attribute(file, "x", std::vector<std::string>{"1"}); },
      [&](const Handle& file) {
        hdf5::write_attribute(file, "x", std::vector<std::string>{"a", "bc"});
      },
      [&](const Handle& file) {
        hdf5::write_attribute(file, "x", std::vector<std::string>{"ab", "c"});
      },
  };
  std::set<std::string> digests;
  for (const Build& file : files) digests.insert(digest_of(file));
  EXPECT_EQ(digests.size(), files.size());
}

TEST(ContentDigest, HardLinksCountUnderEveryName) {
  const auto one = [](const Handle& file) { write_numbers(file, "q", {1}, {5}); };
  const auto linked = [](const Handle& file) {
    write_numbers(file, "q", {1}, {5});
    FP8CAL_HDF5(H5Lcreate_hard(file.id(), "q", file.id(), "k", H5P_DEFAULT, H5P_DEFAULT));
  };
  const auto copied = [](const Handle& file) {
    write_numbers(file, "q", {1}, {5});
    write_numbers(file, "k", {1}, {5});
  };
  EXPECT_NE(digest_of(one), digest_of(linked));
  EXPECT_EQ(digest_of(linked), digest_of(copied));
}

TEST(ContentDigest, RefusesLinksItDoesNotCover) {
  EXPECT_THROW(
      digest_of([](const Handle& file) {
        hdf5::create_group(file, "target");
        FP8CAL_HDF5(H5Lcreate_soft("/target", file.id(), "soft", H5P_DEFAULT, H5P_DEFAULT));
      }),
      InputError);
  EXPECT_THROW(digest_of([](const Handle& file) {
                 FP8CAL_HDF5(H5Lcreate_external("other.h5", "/", file.id(), "external", H5P_DEFAULT,
                                                H5P_DEFAULT));
               }),
               InputError);
  EXPECT_THROW(digest_of([](const Handle& file) {
                 const Handle type(FP8CAL_HDF5(H5Tcopy(H5T_STD_I32LE)));
                 FP8CAL_HDF5(H5Tcommit2(file.id(), "type", type.id(), H5P_DEFAULT, H5P_DEFAULT,
                                        H5P_DEFAULT));
               }),
               InputError);
}

TEST(ContentDigest, RefusesTypesItDoesNotCover) {
  const Handle variable(FP8CAL_HDF5(H5Tcopy(H5T_C_S1)));
  FP8CAL_HDF5(H5Tset_size(variable.id(), H5T_VARIABLE));
  const Handle list(FP8CAL_HDF5(H5Tvlen_create(H5T_STD_I32LE)));
  const Handle compound(FP8CAL_HDF5(H5Tcreate(H5T_COMPOUND, 4)));
  FP8CAL_HDF5(H5Tinsert(compound.id(), "field", 0, H5T_STD_I32LE));
  const Handle odd(FP8CAL_HDF5(H5Tcopy(H5T_STD_U32LE)));
  FP8CAL_HDF5(H5Tset_precision(odd.id(), 24));
  for (const hid_t type : {variable.id(), list.id(), compound.id(), odd.id(),
                           hid_t{H5T_STD_REF_OBJ}, hid_t{H5T_STD_B8LE}}) {
    for (const bool as_attribute : {false, true}) {
      EXPECT_THROW(
          digest_of([&](const Handle& file) { create(file, type, scalar_space(), as_attribute); }),
          InputError);
    }
  }
  const Handle null_space(FP8CAL_HDF5(H5Screate(H5S_NULL)));
  EXPECT_THROW(
      digest_of([&](const Handle& file) { create(file, H5T_STD_U32LE, null_space, true); }),
      InputError);
}

TEST(ContentDigest, RefusesCyclesAndSizesThatNoResultNeeds) {
  EXPECT_THROW(
      digest_of([](const Handle& file) {
        const Handle group = hdf5::create_group(file, "a");
        FP8CAL_HDF5(H5Lcreate_hard(file.id(), "/", group.id(), "up", H5P_DEFAULT, H5P_DEFAULT));
      }),
      InputError);
  EXPECT_THROW(
      digest_of([](const Handle& file) {
        const hsize_t size = hsize_t{1} << 40;
        const hsize_t chunk = 1024;
        const Handle space(FP8CAL_HDF5(H5Screate_simple(1, &size, nullptr)));
        const Handle properties(FP8CAL_HDF5(H5Pcreate(H5P_DATASET_CREATE)));
        FP8CAL_HDF5(H5Pset_chunk(properties.id(), 1, &chunk));
        const Handle huge(FP8CAL_HDF5(H5Dcreate2(file.id(), "huge", H5T_STD_U8LE, space.id(),
                                                 H5P_DEFAULT, properties.id(), H5P_DEFAULT)));
      }),
      InputError);
}

}  // namespace
}  // namespace fp8cal
