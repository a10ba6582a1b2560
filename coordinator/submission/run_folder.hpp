#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace fp8cal {

/// "/data/out/result.h5.slurm": where a submission of the job with this output.result keeps its
/// files. Absolute.
std::filesystem::path run_folder_of(const std::filesystem::path& result);

/// Where the tasks of an array find what was tokenized once.
std::filesystem::path token_cache_of(const std::filesystem::path& run_folder);

/// The comment by which Slurm's job is known as that of the folder.
std::string job_comment(const std::filesystem::path& run_folder);

/// The folder of a job with this comment; empty for the jobs of others.
std::string folder_in_comment(const std::string& comment);

/// Files of a submission, as they are until it is clear that Slurm took the job. At its end what
/// was there before is there again, and the folder is gone where there was none, if `keep` was not
/// called.
class StagedFiles {
 public:
  /// Makes the folder where it is missing; what it is in must be there. Throws InputError where
  /// that fails.
  explicit StagedFiles(const std::filesystem::path& folder);
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;
  ~StagedFiles();

  /// Writes a file of the folder, whole or not at all. Returns its path. Throws Error.
  std::filesystem::path write(const std::string& name, const std::string& text);

  /// Removes a file of the folder where there is one. Throws Error.
  void remove(const std::string& name);

  void keep() { kept_ = true; }

 private:
  void remember(const std::filesystem::path& path);

  std::filesystem::path folder_;
  bool made_folder_ = false;
  bool kept_ = false;
  std::map<std::filesystem::path, std::optional<std::string>> before_;  // none: no such file
};

}  // namespace fp8cal
