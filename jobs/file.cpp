#include "jobs/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

struct stat status_of(const std::string& name, int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw system_error(name, "query its size", errno);
  return status;
}

}  // namespace

File File::open(const std::filesystem::path& path) {
  // Not blocking: opening a pipe by mistake must fail, not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw system_error(path.string(), "open", errno, ExitCode::bad_input);
  File file(path.string(), descriptor);
  const mode_t mode = status_of(file.name_, descriptor).st_mode;
  if (!S_ISREG(mode)) {
    throw InputError(file.name_, "kind of file", "a regular file",
                     S_ISDIR(mode) ? "a folder" : "another kind");
  }
  return file;
}

File::File(File&& other) noexcept
    : name_(std::move(other.name_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::uint64_t File::size() const {
  return static_cast<std::uint64_t>(status_of(name_, descriptor_).st_size);
}

std::size_t File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(descriptor_, out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      throw system_error(name_, fmt::format("read at byte {}", offset + done), errno);
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::string read_text_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const File file = File::open(path);
  const std::uint64_t size = file.size();
  if (size > max_bytes) {
    throw InputError(file.name(), "file size", fmt::format("at most {} bytes", max_bytes),
                     std::to_string(size));
  }
  std::string text(size, '\0');
  text.resize(file.read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace fp8cal
