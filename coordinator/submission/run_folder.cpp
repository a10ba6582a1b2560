#include "coordinator/submission/run_folder.hpp"

#include <span>
#include <string_view>

#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxScriptBytes = 64 << 20;
constexpr std::string_view kMark = "fp8cal ";  // before the folder, in the comment of a job

}  // namespace

fs::path run_folder_of(const fs::path& result) {
  return fs::absolute(result).lexically_normal().string() + ".slurm";
}

fs::path token_cache_of(const fs::path& run_folder) { return run_folder / "tokens"; }

std::string job_comment(const fs::path& run_folder) {
  return std::string(kMark) + run_folder.string();
}

std::string folder_in_comment(const std::string& comment) {
  if (!comment.starts_with(kMark)) return "";
  const std::string folder = comment.substr(kMark.size());
  return folder.starts_with('/') ? folder : "";
}

StagedFiles::StagedFiles(const fs::path& folder) : folder_(folder) {
  std::error_code error;
  made_folder_ = fs::create_directory(folder_, error);
  if (fs::is_directory(folder_)) return;
  throw InputError(folder_.string(), "folder for the submission", "one that can be made",
                   error.message());
}

StagedFiles::~StagedFiles() {
  if (kept_) return;
  try {
    for (const auto& [path, text] : before_) {
      if (text) {
        write_atomically(path, std::as_bytes(std::span(*text)));
      } else {
        remove_files({path});
      }
    }
  } catch (const Error&) {
    // A destructor must not throw, and the refusal that led here is the one to tell of.
  }
  std::error_code ignored;
  if (made_folder_) fs::remove_all(folder_, ignored);  // with the token cache of an array
}

fs::path StagedFiles::write(const std::string& name, const std::string& text) {
  const fs::path path = folder_ / name;
  remember(path);
  write_atomically(path, std::as_bytes(std::span(text)));
  return path;
}

void StagedFiles::remove(const std::string& name) {
  const fs::path path = folder_ / name;
  remember(path);
  remove_files({path});
}

void StagedFiles::remember(const fs::path& path) {
  std::optional<std::string> before;
  if (fs::exists(path)) before = read_text_file(path, kMaxScriptBytes);
  before_.try_emplace(path, std::move(before));
}

}  // namespace fp8cal
