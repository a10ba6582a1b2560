#include "jobs/profile_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/atomic_file.hpp"
#include "jobs/bounded_group.hpp"
#include "jobs/error.hpp"
#include "jobs/hdf5_memory_file.hpp"
#include "jobs/profile_group.hpp"
#include "jobs/result_errors.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

constexpr const char* kFormat = "fp8cal-profile";
constexpr std::int64_t kFormatVersion = 1;
constexpr std::size_t kMaxParts = 64;                           // groups of the root
constexpr std::size_t kMaxProfileBytes = std::size_t{1} << 28;  // a thousand passes take 300 KB

/// The file of a profile alone, in memory: equal bytes for equal profiles.
class ProfileImage {
 public:
  explicit ProfileImage(const LatencyProfile& profile) {
    hdf5::write_attribute(memory_.handle(), "format", kFormat);
    hdf5::write_attribute(memory_.handle(), "format_version", kFormatVersion);
    write_profile_group(memory_.handle(), profile);
    bytes_ = memory_.close();
  }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  hdf5::MemoryFile memory_;
  std::span<const std::byte> bytes_;
};

void verify_profile(const std::filesystem::path& path, const ProfileImage& expected) {
  const std::optional<LatencyProfile> found = read_profile(path);
  if (found && std::ranges::equal(ProfileImage(*found).bytes(), expected.bytes())) return;
  throw Error(ExitCode::failed, fmt::format("{}: profile read back: expected what was written, "
                                            "found another",
                                            path.string()));
}

/// All but the profile, as it is.
void copy_result(const Handle& from, const Handle& to) {
  MemoryBudget budget(kMaxProfileBytes);
  const BoundedGroup root(from, "/", kMaxParts, budget);
  for (const auto& [name, attribute] : root.attributes()) {
    std::visit([&, &key = name](const auto& value) { hdf5::write_attribute(to, key, value); },
               attribute);
  }
  for (const hdf5::Link& link : root.links()) {
    if (link.name == kProfile) continue;
    FP8CAL_HDF5(H5Ocopy(from.id(), link.name.c_str(), to.id(), link.name.c_str(), H5P_DEFAULT,
                        H5P_DEFAULT));
  }
}

std::string format_of(const Handle& file) {
  constexpr std::size_t kMostBytes = 64;
  return hdf5::read_string_attribute(file, "format", kMostBytes);
}

void require_profile_alone(const Handle& file, const BoundedGroup& root) {
  const Attributes expected = {{"format", kFormat}, {"format_version", kFormatVersion}};
  if (root.attributes() != expected) {
    throw InputError(
        hdf5::describe(file), "attributes",
        fmt::format("format = {} and format_version = {} alone", kFormat, kFormatVersion),
        "others");
  }
  root.require_only({kProfile});
}

}  // namespace

void write_profile_file(const std::filesystem::path& path, const LatencyProfile& profile) {
  const ProfileImage image(profile);
  write_atomically(path, image.bytes(),
                   [&image](const auto& written) { verify_profile(written, image); });
}

void add_profile(const std::filesystem::path& result, const std::filesystem::path& destination,
                 const LatencyProfile& profile) {
  const std::string digest = read_result(result).digest;
  hdf5::MemoryFile memory;
  copy_result(hdf5::open_read_only(result), memory.handle());
  write_profile_group(memory.handle(), profile);
  write_atomically(destination, memory.close(), [&](const auto& written) {
    const std::string found = read_result(written).digest;
    if (found != digest) {
      throw Error(ExitCode::failed,
                  fmt::format("{}: content digest read back: expected {}, found {}",
                              written.string(), digest, found));
    }
    verify_profile(written, ProfileImage(profile));
  });
}

std::optional<LatencyProfile> read_profile(const std::filesystem::path& path) {
  std::optional<LatencyProfile> profile;
  read_in_one_line(path, [&] {
    const Handle file = hdf5::open_read_only(path);
    const bool is_alone = format_of(file) == kFormat;
    if (!is_alone) require_result_format(file);
    MemoryBudget budget(kMaxProfileBytes);
    const BoundedGroup root(file, "/", kMaxParts, budget);
    if (is_alone) require_profile_alone(file, root);
    if (is_alone || root.has(kProfile)) profile = read_profile_group(root);
  });
  return profile;
}

bool is_profile_file(const std::filesystem::path& path) {
  try {
    return format_of(hdf5::open_read_only(path)) == kFormat;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace fp8cal
