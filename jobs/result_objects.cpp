#include "jobs/result_objects.hpp"

#include <fmt/format.h>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

constexpr const char* kProvenance = "provenance";
constexpr std::size_t kMaxTableBytes = std::size_t{1} << 28;  // a 70B result takes 1.3 MB

std::vector<std::string> read_column(const Handle& provenance, const char* name) {
  return hdf5::read_strings(hdf5::open_dataset(provenance, name), kMaxTableBytes);
}

}  // namespace

void write_object_table(const Handle& provenance, const std::vector<ObjectDigest>& objects) {
  std::vector<std::string> paths;
  std::vector<std::string> digests;
  for (const ObjectDigest& one : objects) {
    paths.push_back(one.path);
    digests.push_back(one.sha256);
  }
  hdf5::write_dataset(provenance, kObjectNames, paths);
  hdf5::write_dataset(provenance, kObjectDigests, digests);
}

std::optional<ObjectTable> read_object_table(const Handle& file) {
  const auto exists = [](const Handle& group, const char* name) {
    return FP8CAL_HDF5(H5Lexists(group.id(), name, H5P_DEFAULT)) > 0;
  };
  if (!exists(file, kProvenance)) return std::nullopt;
  const Handle provenance = hdf5::open_group(file, kProvenance);
  if (!exists(provenance, kObjectNames) && !exists(provenance, kObjectDigests)) return std::nullopt;
  ObjectTable table = {read_column(provenance, kObjectNames),
                       read_column(provenance, kObjectDigests)};
  if (table.paths.size() == table.sha256.size()) return table;
  throw InputError(hdf5::describe(provenance), kObjectDigests,
                   fmt::format("{} digests", table.paths.size()),
                   fmt::to_string(table.sha256.size()));
}

}  // namespace fp8cal
