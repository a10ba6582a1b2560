#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fp8cal {

/// Throws InputError where a checkpoint of `model` cannot be written to `out`: it is `model` or
/// lies in it, is no folder, or holds files and `force` is not set; what an export left that was
/// killed counts as none. Makes the folder, and checks that files can be written there.
void prepare_export_folder(const std::filesystem::path& model, const std::filesystem::path& out,
                           bool force);

/// The files of `model` that a checkpoint made from it takes over unchanged, sorted: the
/// tokenizer's, the generation's settings, licences. Throws InputError where one is too large.
std::vector<std::filesystem::path> files_to_copy(const std::filesystem::path& model);

/// Removes from `out` what would make an older checkpoint there look complete or mix with the new
/// one: its index and config.json, its files of tensors, its tokenizer, its unfinished files; but
/// for the first two, only what is not in `kept`, the names of the new files. On return this has
/// reached the disk.
void remove_old_checkpoint(const std::filesystem::path& out, const std::set<std::string>& kept);

/// Files that take their names in this run. Removes them again, last ones first, where it is not
/// told to keep them.
class PublishedFiles {
 public:
  PublishedFiles() = default;
  PublishedFiles(const PublishedFiles&) = delete;
  PublishedFiles& operator=(const PublishedFiles&) = delete;
  ~PublishedFiles();

  /// To be called before the file takes its name: there may be no moment after.
  void add(const std::filesystem::path& path) { paths_.push_back(path); }
  /// Writes the file at once.
  void write(const std::filesystem::path& path, std::string_view text);
  void keep() { paths_.clear(); }

 private:
  std::vector<std::filesystem::path> paths_;
};

/// A copy of `from`, one of files_to_copy, in the folder `out`.
void publish_copy(const std::filesystem::path& from, const std::filesystem::path& out,
                  PublishedFiles& published);

}  // namespace fp8cal
