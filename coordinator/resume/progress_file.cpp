#include "coordinator/resume/progress_file.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

constexpr std::string_view kFamily = "fp8cal progress ";
constexpr std::string_view kHead = "fp8cal progress 1\n";
constexpr std::string_view kHidden = "hidden-";
// 70B with 512 sequences and WikiText-103: 2 GiB, nearly all of it scores.
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 34;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

[[noreturn]] void refuse(const std::filesystem::path& file, const char* what,
                         const std::string& expected, const std::string& found) {
  throw Error(ExitCode::failed,
              fmt::format("{}: {}: expected {}, found {}", file.string(), what, expected, found));
}

}  // namespace

std::filesystem::path progress_file(const std::filesystem::path& folder) {
  return folder / "progress.fp8cal";
}

void prepare_progress_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || !std::filesystem::is_directory(folder)) {
    throw InputError("runtime.checkpoint", folder.string(), "a folder that can be made",
                     error ? error.message() : "a file of this name");
  }
  check_writable(progress_file(folder));
}

std::optional<SavedProgress> read_progress(const std::filesystem::path& folder) {
  const std::filesystem::path file = progress_file(folder);
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return std::nullopt;
  std::string text = read_text_file(file, kMaxBytes);
  constexpr std::size_t kSum = sizeof(Sha256Digest);
  if (text.size() < kHead.size() + kSum) {
    refuse(file, "size", fmt::format("{} bytes or more", kHead.size() + kSum),
           fmt::to_string(text.size()));
  }
  const std::string_view summed(text.data(), text.size() - kSum);
  const Sha256Digest sum = sha256(bytes_of(summed));
  if (std::memcmp(sum.data(), text.data() + summed.size(), kSum) != 0) {
    refuse(file, "checksum", "that of its content", "another: the file is cut short or changed");
  }
  if (!summed.starts_with(kHead)) {
    throw InputError(file.string(), "format", "'fp8cal progress 1'; remove it to start over",
                     summed.starts_with(kFamily) ? "another version" : "another file");
  }
  text.resize(summed.size());
  text.erase(0, kHead.size());
  return unpack_progress(text);
}

void write_progress(const std::filesystem::path& folder, const SavedProgress& progress) {
  const std::string packed = pack_progress(progress);
  Sha256 sum;
  sum.update(kHead.data(), kHead.size()).update(packed.data(), packed.size());
  const Sha256Digest digest = sum.finish();
  PartialFile file(progress_file(folder));
  file.write_at(0, bytes_of(kHead));
  file.write_at(kHead.size(), bytes_of(packed));
  file.write_at(kHead.size() + packed.size(), digest);
  file.commit();
}

std::string hidden_file_name(std::size_t layers, const std::string& pass, int share) {
  return fmt::format("{}{}-{}-{}", kHidden, layers, pass, share);
}

void remove_hidden_files(const std::filesystem::path& folder, const std::vector<HiddenFile>& kept) {
  std::vector<std::filesystem::path> stale;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool is_kept =
        std::ranges::any_of(kept, [&](const HiddenFile& file) { return file.name == name; });
    if (name.starts_with(kHidden) && !is_kept) stale.push_back(entry.path());
  }
  remove_files(stale);
}

void remove_progress(const std::filesystem::path& folder) noexcept {
  try {
    remove_files({progress_file(folder)});
    remove_hidden_files(folder, {});
    std::error_code ignored;
    std::filesystem::remove(folder, ignored);  // only where it is empty
  } catch (const std::exception& error) {
    spdlog::warn("the job is done, but its progress could not be removed: {}", error.what());
  }
}

}  // namespace fp8cal
