#include "jobs/hdf5.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <type_traits>

#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/hdf5_memory_file.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal::hdf5 {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

static_assert(!std::is_copy_constructible_v<Handle>);
static_assert(std::is_nothrow_destructible_v<Handle>);

class Hdf5Test : public ::testing::Test {
 protected:
  TempFolder temporary_;
  const fs::path folder_ = temporary_.path();
  MemoryFile memory_;
  const Handle& file_ = memory_.handle();
};

template <class T>
Handle write_as(const Handle& file, const std::string& name, hid_t file_type, hid_t memory_type,
                const std::vector<T>& values) {
  const hsize_t size = values.size();
  const Handle space(FP8CAL_HDF5(H5Screate_simple(1, &size, nullptr)));
  Handle dataset(FP8CAL_HDF5(H5Dcreate2(file.id(), name.c_str(), file_type, space.id(), H5P_DEFAULT,
                                        H5P_DEFAULT, H5P_DEFAULT)));
  FP8CAL_HDF5(H5Dwrite(dataset.id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
  return dataset;
}

template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no InputError";
}

TEST_F(Hdf5Test, TheMacroEvaluatesOnce) {
  int calls = 0;
  EXPECT_EQ(FP8CAL_HDF5((++calls, 7)), 7);
  EXPECT_EQ(calls, 1);
}

TEST_F(Hdf5Test, ErrorsSayWhereAndWhyAndHdf5PrintsNothing) {
  ::testing::internal::CaptureStderr();
  try {
    FP8CAL_HDF5(H5Gopen2(file_.id(), "missing", H5P_DEFAULT));
    FAIL() << "a missing group opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::failed);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("hdf5_test.cpp:"), HasSubstr("H5Gopen2(file_.id(), \"missing\""),
                      HasSubstr("object 'missing' doesn't exist"), Not(HasSubstr("\n"))));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(Hdf5Test, HandlesCloseWhatTheyOwn) {
  const auto open_objects = [&] { return H5Fget_obj_count(file_.id(), H5F_OBJ_ALL); };
  const ssize_t before = open_objects();
  {
    Handle group = create_group(file_, "group");
    EXPECT_EQ(open_objects(), before + 1);
    Handle other = std::move(group);
    EXPECT_LT(group.id(), 0);
    EXPECT_EQ(open_objects(), before + 1);
    other = Handle();
    EXPECT_EQ(open_objects(), before);
  }
  EXPECT_EQ(open_objects(), before);
}

TEST_F(Hdf5Test, OpenNamesAPathThatIsMissingOrNoHdf5) {
  const std::string missing = folder_ / "missing.h5";
  EXPECT_THAT(message_of([&] { open_read_only(missing); }),
              AllOf(HasSubstr(missing), HasSubstr("No such file")));
  const std::string text = folder_ / "text.h5";
  std::ofstream(text) << "no HDF5";
  EXPECT_THAT(message_of([&] { open_read_only(text); }), HasSubstr(text + ": format"));
  EXPECT_THAT(message_of([&] { open_read_only(folder_); }), HasSubstr(folder_.string()));
}

TEST_F(Hdf5Test, AnImageIsAFileAndATruncatedOneIsRefused) {
  const std::vector<std::uint32_t> tokens = {1, 2, 3, 4, 5, 6};
  write_dataset(file_, "tokens", {2, 3}, std::span<const std::uint32_t>(tokens));
  std::span<const std::byte> image = memory_.close();
  const fs::path path = folder_ / "tokens.h5";
  write_atomically(path, image);
  const Handle file = open_read_only(path);
  EXPECT_THAT(read_integers(file, "tokens", 6), ElementsAre(1, 2, 3, 4, 5, 6));
  write_atomically(path, image.first(image.size() / 2));
  EXPECT_THROW(open_read_only(path), InputError);
}

TEST_F(Hdf5Test, AMemoryFileWithOpenObjectsDoesNotClose) {
  const Handle group = create_group(file_, "group");
  EXPECT_THROW(memory_.close(), Error);
}

TEST_F(Hdf5Test, ReadsAnyIntegerType) {
  write_as<std::int64_t>(file_, "i16be", H5T_STD_I16BE, H5T_NATIVE_INT64, {-2, 300});
  write_as<std::int64_t>(file_, "u8", H5T_STD_U8LE, H5T_NATIVE_INT64, {0, 255});
  EXPECT_THAT(read_integers(file_, "i16be", 2), ElementsAre(-2, 300));
  EXPECT_THAT(read_integers(file_, "/u8", 2), ElementsAre(0, 255));
  write_dataset(file_, "none", {0}, std::span<const std::uint32_t>());
  EXPECT_THAT(read_integers(file_, "none", 0), IsEmpty());
}

TEST_F(Hdf5Test, RefusesWhatIsNotABoundedListOfIntegers) {
  const std::vector<float> floats = {1.0f};
  write_dataset(file_, "floats", {1}, std::span<const float>(floats));
  const std::vector<std::uint64_t> large = {1, std::uint64_t{1} << 63};
  write_dataset(file_, "large", {2}, std::span<const std::uint64_t>(large));
  create_group(file_, "group");
  EXPECT_THAT(message_of([&] { read_integers(file_, "floats", 9); }),
              HasSubstr("in memory:/floats: type: expected integers"));
  EXPECT_THAT(message_of([&] { read_integers(file_, "large", 9); }), HasSubstr("2^63"));
  EXPECT_THAT(message_of([&] { read_integers(file_, "large", 1); }),
              HasSubstr("at most 1 elements"));
  EXPECT_THAT(message_of([&] { read_integers(file_, "missing/name", 9); }),
              HasSubstr("expected missing/name, found nothing"));
  EXPECT_THAT(message_of([&] { read_integers(file_, "group", 9); }), HasSubstr("group"));
}

TEST_F(Hdf5Test, RefusesSizesThatOverflow) {
  const std::vector<hsize_t> shape(4, hsize_t{1} << 32);
  const Handle space(FP8CAL_HDF5(H5Screate_simple(4, shape.data(), nullptr)));
  const Handle properties(FP8CAL_HDF5(H5Pcreate(H5P_DATASET_CREATE)));
  const std::vector<hsize_t> chunk(4, 1);
  FP8CAL_HDF5(H5Pset_chunk(properties.id(), 4, chunk.data()));
  const Handle dataset(H5Dcreate2(file_.id(), "huge", H5T_STD_U32LE, space.id(), H5P_DEFAULT,
                                  properties.id(), H5P_DEFAULT));
  if (dataset.id() < 0) GTEST_SKIP() << "this HDF5 refuses to create such a dataset";
  EXPECT_THROW(read_integers(file_, "huge", SIZE_MAX), InputError);
}

TEST_F(Hdf5Test, RefusesElementsInOtherFiles) {
  const hsize_t size = 4;
  const Handle space(FP8CAL_HDF5(H5Screate_simple(1, &size, nullptr)));
  const Handle properties(FP8CAL_HDF5(H5Pcreate(H5P_DATASET_CREATE)));
  FP8CAL_HDF5(H5Pset_external(properties.id(), "/etc/hostname", 0, 4));
  const Handle dataset(FP8CAL_HDF5(H5Dcreate2(file_.id(), "external", H5T_STD_U8LE, space.id(),
                                              H5P_DEFAULT, properties.id(), H5P_DEFAULT)));
  EXPECT_THAT(message_of([&] { read_integers(file_, "external", 4); }), HasSubstr("external"));
}

TEST_F(Hdf5Test, WritesTheStatedTypes) {
  const std::vector<std::uint64_t> counts = {7};
  const Handle scalar = write_dataset(file_, "counts", {}, std::span<const std::uint64_t>(counts));
  EXPECT_THAT(shape_of(scalar, 1), IsEmpty());
  EXPECT_TRUE(FP8CAL_HDF5(H5Tequal(type_of(scalar).id(), H5T_STD_U64LE)));
  write_attribute(file_, "integer", std::int64_t{-3});
  write_attribute(file_, "real", 0.5);
  const Handle integer(FP8CAL_HDF5(H5Aopen(file_.id(), "integer", H5P_DEFAULT)));
  const Handle real(FP8CAL_HDF5(H5Aopen(file_.id(), "real", H5P_DEFAULT)));
  EXPECT_TRUE(FP8CAL_HDF5(H5Tequal(type_of(integer).id(), H5T_STD_I64LE)));
  EXPECT_TRUE(FP8CAL_HDF5(H5Tequal(type_of(real).id(), H5T_IEEE_F64LE)));
  double value = 0;
  read_elements(real, H5T_NATIVE_DOUBLE, &value);
  EXPECT_EQ(value, 0.5);
  EXPECT_THROW(write_dataset(file_, "wrong", {2}, std::span<const std::uint64_t>(counts)),
               std::invalid_argument);
}

TEST_F(Hdf5Test, StringsComeBackAsTheyWere) {
  const std::string long_text(100'000, 'x');  // a job file may be longer than 64 KiB
  write_attribute(file_, "text", "Zürich");
  write_attribute(file_, "empty", "");
  write_attribute(file_, "long", long_text);
  EXPECT_EQ(read_string_attribute(file_, "text", 64), "Zürich");
  EXPECT_EQ(read_string_attribute(file_, "empty", 64), "");
  EXPECT_EQ(read_string_attribute(file_, "long", 100'000), long_text);
  EXPECT_THROW(read_string_attribute(file_, "long", 99'999), InputError);
  EXPECT_THROW(read_string_attribute(file_, "missing", 64), InputError);
  EXPECT_THROW(write_attribute(file_, "nul", std::string(3, '\0')), std::invalid_argument);
}

TEST_F(Hdf5Test, ListsOfStringsComeBackAsTheyWere) {
  const auto read = [&](const char* name) {
    const Handle attribute(FP8CAL_HDF5(H5Aopen(file_.id(), name, H5P_DEFAULT)));
    return read_strings(attribute, 64);
  };
  write_attribute(file_, "list", std::vector<std::string>{"a", "", "three"});
  write_attribute(file_, "none", std::vector<std::string>{});
  write_attribute(file_, "number", std::int64_t{1});
  EXPECT_THAT(read("list"), ElementsAre("a", "", "three"));
  EXPECT_THAT(read("none"), IsEmpty());
  EXPECT_THROW(read("number"), InputError);
}

}  // namespace
}  // namespace fp8cal::hdf5
