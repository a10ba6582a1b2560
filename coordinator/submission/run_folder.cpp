#include "coordinator/submission/run_folder.hpp"

#include <span>

#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxScriptBytes = 64 << 20;

}  // namespace

fs::path run_folder_of(const fs::path& result) {
  return fs::absolute(result).lexically_normal().string() + ".slurm";
}

fs::path token_cache_of(const fs::path& run_folder) { return run_folder / "tokens"; }

std::string job_comment(const fs::path& run_folder) { return "fp8cal " + run_folder.string(); }

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
  if (made_folder_) fs::remove(folder_, ignored);  // only where it is empty
}

fs::path StagedFiles::write(const std::string& name, const std::string& text) {
  const fs::path path = folder_ / name;
  std::optional<std::string> before;
  if (fs::exists(path)) before = read_text_file(path, kMaxScriptBytes);
  before_.try_emplace(path, std::move(before));
  write_atomically(path, std::as_bytes(std::span(text)));
  return path;
}

}  // namespace fp8cal
