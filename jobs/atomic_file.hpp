#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace fp8cal {

/// A file that replaces the one at its path when it is complete, so that a crash at any moment
/// leaves the old file or the new one. Until then it is `path`.partial, in the same folder. Errors
/// name the path and the reason (exit code 1).
class PartialFile {
 public:
  explicit PartialFile(const std::filesystem::path& path);
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  /// Removes what was not committed.
  ~PartialFile();

  /// Writes all of `bytes`. Threads may write different places at once.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// All is written: flushes to disk and closes, so that `commit` has little left that could fail.
  void finish();

  /// Finishes where that is not done, calls `verify` with the partial name, renames, flushes the
  /// folder. What `verify` throws passes through, and the file is removed.
  void commit(const std::function<void(const std::filesystem::path&)>& verify = {});

 private:
  std::filesystem::path path_;
  std::filesystem::path partial_;
  int folder_ = -1;
  int file_ = -1;
  bool committed_ = false;
};

/// Replaces the file at `path` by `bytes`, as PartialFile does.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                      const std::function<void(const std::filesystem::path&)>& verify = {});

/// Replaces the file at `path` by `bytes` as a whole, without flushing to disk: for what is easily
/// made again, as a power cut may leave it empty. Several processes may replace one file at once.
/// Errors name the path and the reason (exit code 1).
void replace_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// Removes the files at `paths`, which share one folder, where they are there, and flushes the
/// folder. Throws Error naming the first that could not be removed, after trying all.
void remove_files(const std::vector<std::filesystem::path>& paths);

/// Throws InputError naming the path where write_atomically could not create its file now (missing
/// folder, no permission, the path is a folder), so that a job fails before its work. Leaves
/// nothing behind, also of an earlier crash.
void check_writable(const std::filesystem::path& path);

}  // namespace fp8cal
