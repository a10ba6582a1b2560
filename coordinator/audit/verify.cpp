#include "coordinator/audit/verify.hpp"

#include <array>
#include <fstream>
#include <optional>
#include <string_view>

#include "coordinator/audit/consistency.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {
namespace {

/// None where the file is damaged so that HDF5 cannot open it as a result.
std::optional<hdf5::Handle> open_if_undamaged(const std::filesystem::path& path,
                                              Findings& findings) {
  hdf5::Handle file;
  try {
    file = hdf5::open_read_only(path);
  } catch (const InputError& error) {
    if (!begins_as_hdf5(path)) throw;
    findings.add({"/", error.what_is, error.expected, "a damaged one, which HDF5 cannot open"});
    return std::nullopt;
  }
  try {
    require_result_format(file);
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    findings.add({"/", "content", "what HDF5 can read", error.what()});
    return std::nullopt;
  }
  return file;
}

}  // namespace

bool begins_as_hdf5(const std::filesystem::path& path) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  std::array<char, kSignature.size()> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), start.size()) == kSignature;
}

Verification verify(const std::filesystem::path& path, int threads) {
  Verification done;
  const std::optional<hdf5::Handle> file = open_if_undamaged(path, done.findings);
  if (!file) return done;
  done.objects = check_objects(*file, done.findings);
  const ResultParts parts = read_result_parts(*file, path);
  for (const InputError& problem : parts.problems) {
    done.findings.add(finding_of(problem, path.string()));
  }
  done.contents = contents_of(parts.result);
  done.numbers_checked = parts.problems.empty();
  if (done.numbers_checked) check_consistency(parts.result, threads, done.findings);
  for (const InputError& problem : parts.profile_problems) {
    done.findings.add(finding_of(problem, path.string()));
  }
  return done;
}

}  // namespace fp8cal
