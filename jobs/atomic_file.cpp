#include "jobs/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path partial_name(const std::filesystem::path& path) {
  return path.string() + ".partial";
}

constexpr int kCreate = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
constexpr int kCreateNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

/// Writes all of `bytes`; path: for messages.
void write_all(int fd, std::uint64_t offset, std::span<const std::byte> bytes,
               const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    } else if (written == 0 || errno != EINTR) {
      throw system_error(path.string(), "write", written == 0 ? ENOSPC : errno);
    }
  }
}

/// Network file systems report a full disk only here. On Linux EINTR closes all the same.
void close_written(int fd, const std::filesystem::path& path) {
  if (::close(fd) != 0 && errno != EINTR) throw system_error(path.string(), "close", errno);
}

/// `path`.XXXXXXXXXXXXXXXX.partial, which no other process uses.
std::filesystem::path own_partial_name(const std::filesystem::path& path) {
  std::random_device random;
  return partial_name(path.string() + fmt::format(".{:08x}{:08x}", random(), random()));
}

void sync(int fd, const std::filesystem::path& path) {
  while (::fsync(fd) != 0) {
    if (errno != EINTR) throw system_error(path.string(), "flush to disk", errno);
  }
}

/// After this the new name survives a power cut.
void sync_folder(int fd, const std::filesystem::path& path) {
  // Some network file systems cannot sync folders and say so; they order renames themselves.
  if (::fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) {
    throw system_error(path.string(), "flush the folder to disk", errno);
  }
}

}  // namespace

PartialFile::PartialFile(const std::filesystem::path& path)
    : path_(path), partial_(partial_name(path)) {
  // Opened first: a folder that cannot be synced must fail before the rename, not after.
  const std::filesystem::path folder = folder_of(path);
  folder_ = ::open(folder.c_str(), kFolder);
  if (folder_ < 0) throw system_error(folder.string(), "open the folder", errno);
  file_ = ::open(partial_.c_str(), kCreate, 0666);
  if (file_ < 0) {
    const int error = errno;
    ::close(folder_);
    throw system_error(partial_.string(), "open for writing", error);
  }
}

PartialFile::~PartialFile() {
  if (file_ >= 0) ::close(file_);
  if (!committed_) ::unlink(partial_.c_str());
  ::close(folder_);
}

void PartialFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all(file_, offset, bytes, path_);
}

void PartialFile::finish() {
  sync(file_, path_);
  close_written(std::exchange(file_, -1), path_);
}

void PartialFile::commit(const std::function<void(const std::filesystem::path&)>& verify) {
  if (file_ >= 0) finish();
  if (verify) verify(partial_);
  if (::rename(partial_.c_str(), path_.c_str()) != 0) {
    throw system_error(path_.string(), "rename the finished file", errno);
  }
  committed_ = true;
  sync_folder(folder_, path_);
}

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                      const std::function<void(const std::filesystem::path&)>& verify) {
  PartialFile file(path);
  file.write_at(0, bytes);
  file.commit(verify);
}

void replace_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const std::filesystem::path partial = own_partial_name(path);
  int file = ::open(partial.c_str(), kCreateNew, 0666);
  if (file < 0) throw system_error(path.string(), "open for writing", errno);
  try {
    write_all(file, 0, bytes, path);
    close_written(std::exchange(file, -1), path);
    if (::rename(partial.c_str(), path.c_str()) != 0) {
      throw system_error(path.string(), "rename the finished file", errno);
    }
  } catch (const Error&) {
    if (file >= 0) ::close(file);
    ::unlink(partial.c_str());
    throw;
  }
}

void remove_files(const std::vector<std::filesystem::path>& paths) {
  if (paths.empty()) return;
  std::optional<Error> failure;
  for (const std::filesystem::path& path : paths) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT || failure) continue;
    failure = system_error(path.string(), "remove", errno);
  }
  if (failure) throw Error(*failure);
  const std::filesystem::path folder = folder_of(paths.front());
  const int descriptor = ::open(folder.c_str(), kFolder);
  if (descriptor < 0) throw system_error(folder.string(), "open the folder", errno);
  const std::unique_ptr<const int, void (*)(const int*)> closer(
      &descriptor, [](const int* one) { ::close(*one); });
  sync_folder(descriptor, folder);
}

void check_writable(const std::filesystem::path& path) {
  const auto refuse = [&path](const std::string& found) {
    throw InputError(path.string(), "cannot write", "a file name in a writable folder", found);
  };
  std::error_code ignored;
  if (!path.has_filename() || std::filesystem::is_directory(path, ignored)) refuse("a folder");
  try {
    const PartialFile file(path);
  } catch (const Error& error) {
    refuse(error.what());
  }
}

}  // namespace fp8cal
