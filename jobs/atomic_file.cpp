#include "jobs/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

/// A file descriptor; closed without a check where close() was not called.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags)
      : fd_(::open(path.c_str(), flags, 0666)) {
    const bool is_folder = (flags & O_DIRECTORY) != 0;
    if (fd_ < 0) {
      throw system_error(path.string(), is_folder ? "open the folder" : "open for writing", errno);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }
  /// Network file systems report a full disk only here. On Linux EINTR closes all the same.
  void close(const std::filesystem::path& path) {
    if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) {
      throw system_error(path.string(), "close", errno);
    }
  }

 private:
  int fd_;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path partial_name(const std::filesystem::path& path) {
  return path.string() + ".partial";
}

constexpr int kCreate = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

/// Removes a file at the end of a scope, unless kept.
class Removal {
 public:
  explicit Removal(std::filesystem::path path) : path_(std::move(path)) {}
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  void keep() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (written == 0 || errno != EINTR) {
      throw system_error(path.string(), "write", written == 0 ? ENOSPC : errno);
    }
  }
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

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                      const std::function<void(const std::filesystem::path&)>& verify) {
  const std::filesystem::path partial = partial_name(path);
  // Opened first: a folder that cannot be synced must fail before the rename, not after.
  const Descriptor folder(folder_of(path), kFolder);
  Descriptor file(partial, kCreate);
  Removal removal(partial);
  write_all(file.fd(), bytes, path);
  sync(file.fd(), path);
  file.close(path);
  if (verify) verify(partial);
  if (::rename(partial.c_str(), path.c_str()) != 0) {
    throw system_error(path.string(), "rename the finished file", errno);
  }
  removal.keep();
  sync_folder(folder.fd(), path);
}

void check_writable(const std::filesystem::path& path) {
  const auto refuse = [&path](const std::string& found) {
    throw InputError(path.string(), "cannot write", "a file name in a writable folder", found);
  };
  std::error_code ignored;
  if (!path.has_filename() || std::filesystem::is_directory(path, ignored)) refuse("a folder");
  try {
    const std::filesystem::path partial = partial_name(path);
    const Descriptor folder(folder_of(path), kFolder);
    const Descriptor file(partial, kCreate);
    const Removal removal(partial);
  } catch (const Error& error) {
    refuse(error.what());
  }
}

}  // namespace fp8cal
