#include "jobs/result_reader.hpp"

#include <fmt/format.h>

#include "jobs/bounded_group.hpp"
#include "jobs/content_digest.hpp"
#include "jobs/error.hpp"
#include "jobs/hdf5.hpp"
#include "jobs/profile_group.hpp"
#include "jobs/result_errors.hpp"
#include "jobs/result_parts.hpp"
#include "jobs/result_validation.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

constexpr std::int64_t kFormatVersion = 1;
constexpr std::size_t kDigestBytes = 64;  // SHA-256 in hexadecimal
constexpr std::size_t kMaxParts = 64;     // groups of the root; there are eight
// A 70B result takes 200 MB. What is linked under many names is read as often.
constexpr std::size_t kMaxResultBytes = std::size_t{1} << 32;

void require(const Handle& file, const char* what, const std::string& expected,
             const std::string& found) {
  if (found != expected) throw InputError(hdf5::describe(file), what, expected, found);
}

std::int64_t read_version(const Handle& file) {
  constexpr const char* kName = "format_version";
  if (FP8CAL_HDF5(H5Aexists(file.id(), kName)) == 0) {
    throw InputError(hdf5::describe(file), "attribute", kName, "none of that name");
  }
  const Handle version(FP8CAL_HDF5(H5Aopen(file.id(), kName, H5P_DEFAULT)));
  const hdf5::Shape shape = hdf5::shape_of(version, 1);
  const auto values = hdf5::read_numbers<std::int64_t>(version, shape);
  if (!shape.empty()) throw InputError(hdf5::describe(version), "shape", "a number", "an array");
  return values.front();
}

std::string verified_digest(const Handle& file) {
  require_result_format(file);
  const std::string stored = stored_content_digest(file);
  require(file, "content digest", stored, content_digest(file));
  return stored;
}

void check_root(const Handle& file, const BoundedGroup& root) {
  root.require_only({"provenance", "profile", "job", "activations", "weights", "scales",
                     "diagnostics", "perplexity"});
  if (root.attributes().size() != 3) {
    throw InputError(hdf5::describe(file), "attributes",
                     "format, format_version and content_digest only", "others");
  }
}

using ReadPart = void (*)(const BoundedGroup& root, Result& result);

/// In an order in which each finds what it needs.
constexpr ReadPart kParts[] = {read_provenance, read_job,         read_activations, read_weights,
                               read_scales,     read_diagnostics, read_perplexity};

}  // namespace

std::string stored_content_digest(const Handle& file) {
  return hdf5::read_string_attribute(file, "content_digest", kDigestBytes);
}

void require_result_format(const Handle& file) {
  require(file, "format", "fp8cal", hdf5::read_string_attribute(file, "format", kDigestBytes));
  require(file, "format_version", fmt::to_string(kFormatVersion),
          fmt::to_string(read_version(file)));
}

ResultParts read_result_parts(const Handle& file, const std::filesystem::path& path) {
  ResultParts parts;
  const auto attempt_into = [&](std::vector<InputError>& problems, const auto& read) {
    try {
      read_in_one_line(path, read);
    } catch (const InputError& error) {
      problems.push_back(error);
    }
  };
  const auto attempt = [&](const auto& read) { attempt_into(parts.problems, read); };
  attempt([&] {
    MemoryBudget budget(kMaxResultBytes);
    const BoundedGroup root(file, "/", kMaxParts, budget);
    attempt([&] { check_root(file, root); });
    attempt_into(parts.profile_problems, [&] {
      if (root.has("profile")) read_profile_group(root);
    });
    for (const ReadPart part : kParts) {
      attempt([&] { part(root, parts.result); });
      if (part == read_job && !parts.problems.empty()) break;  // what follows builds on it
    }
  });
  if (parts.problems.empty()) attempt([&] { validate(parts.result); });
  return parts;
}

StoredResult read_result(const std::filesystem::path& path) {
  StoredResult stored;
  read_in_one_line(path, [&] {
    const Handle file = hdf5::open_read_only(path);
    stored.digest = verified_digest(file);
    MemoryBudget budget(kMaxResultBytes);
    const BoundedGroup root(file, "/", kMaxParts, budget);
    check_root(file, root);
    for (const ReadPart part : kParts) part(root, stored.result);
    validate(stored.result);
  });
  return stored;
}

}  // namespace fp8cal
