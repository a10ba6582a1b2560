#include "jobs/atomic_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "jobs/error.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class AtomicFileTest : public ::testing::Test {
 protected:
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  TempFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(AtomicFileTest, CreatesAndReplaces) {
  const fs::path path = folder_ / "result.h5";
  write_atomically(path, bytes_of("first"));
  EXPECT_EQ(content_of(path), "first");
  write_atomically(path, bytes_of(""));
  EXPECT_EQ(content_of(path), "");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, VerifiesTheFinishedFileBeforeItTakesTheName) {
  const fs::path path = folder_ / "result.h5";
  write_atomically(path, bytes_of("old"));
  std::string seen;
  write_atomically(path, bytes_of("new"), [&](const fs::path& partial) {
    seen = content_of(partial);
    EXPECT_EQ(partial, folder_ / "result.h5.partial");
    EXPECT_EQ(content_of(path), "old");
  });
  EXPECT_EQ(seen, "new");
  EXPECT_EQ(content_of(path), "new");
}

TEST_F(AtomicFileTest, KeepsTheOldFileWhereVerificationFails) {
  const fs::path path = folder_ / "result.h5";
  write_atomically(path, bytes_of("old"));
  const auto refuse = [](const fs::path&) { throw Error(ExitCode::failed, "not what I wrote"); };
  EXPECT_EQ(error_text([&] { write_atomically(path, bytes_of("new"), refuse); }),
            "not what I wrote");
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, OverwritesWhatACrashLeft) {
  const fs::path path = folder_ / "result.h5";
  std::ofstream(path.string() + ".partial") << "longer than the new content";
  write_atomically(path, bytes_of("new"));
  EXPECT_EQ(content_of(path), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, DoesNotFollowALinkUnderItsTemporaryName) {
  const fs::path path = folder_ / "result.h5";
  std::ofstream(folder_ / "precious") << "precious";
  fs::create_symlink(folder_ / "precious", path.string() + ".partial");
  EXPECT_THROW(write_atomically(path, bytes_of("new")), Error);
  EXPECT_EQ(content_of(folder_ / "precious"), "precious");
}

TEST_F(AtomicFileTest, AFolderInItsPlaceFailsAndLeavesNothing) {
  const fs::path path = folder_ / "result.h5";
  fs::create_directory(path);
  EXPECT_THAT(error_text([&] { write_atomically(path, bytes_of("new")); }),
              HasSubstr(path.string() + ": cannot rename"));
  EXPECT_EQ(files(), 1u);
}

/// Runs `action` in a child process; gives its exit code, or -1 where a signal ended it.
int exit_code_of_child(const std::function<int()>& action) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(action());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(AtomicFileTest, AFullDiskNamesPathAndReasonAndKeepsTheOldFile) {
  const fs::path path = folder_ / "result.h5";
  write_atomically(path, bytes_of("old"));
  const std::string large(1 << 20, 'x');
  const int code = exit_code_of_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_atomically(path, bytes_of(large));
      return 1;
    } catch (const Error& error) {
      const bool right = error.code() == ExitCode::failed &&
                         error.what() == path.string() + ": cannot write: File too large";
      return right ? 0 : 2;
    }
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, AKillAtAnyMomentLeavesOneCompleteVersion) {
  constexpr int kKills = 60;
  constexpr std::size_t kBytes = 300'000;
  const fs::path path = folder_ / "result.h5";
  const auto start = std::chrono::steady_clock::now();
  write_atomically(path, bytes_of(std::string(kBytes, 'a')));
  const std::chrono::duration<double, std::micro> one_write =
      std::chrono::steady_clock::now() - start;
  // Up to a few writes, on any disk; the rest is the start of the child.
  std::uniform_int_distribution<unsigned> delay(
      0, 2000 + 6 * static_cast<unsigned>(one_write.count()));
  std::mt19937 random(1);
  int partials = 0;
  std::string versions;
  for (int i = 0; i < kKills; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (char c = 'a';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
        write_atomically(path, bytes_of(std::string(kBytes, c)));
      }
    }
    ::usleep(delay(random));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string content = content_of(path);
    ASSERT_EQ(content, std::string(kBytes, content.at(0)));
    if (fs::exists(path.string() + ".partial")) ++partials;
    if (versions.find(content[0]) == std::string::npos) versions += content[0];
  }
  // Otherwise no kill came in the middle of a write, or none after one, and nothing was tested.
  EXPECT_GT(partials, 0);
  EXPECT_GT(versions.size(), 1u);
}

TEST_F(AtomicFileTest, AFinishedFileIsThereUnderItsPartialNameOnly) {
  const fs::path path = folder_ / "result.h5";
  {
    PartialFile file(path);
    file.write_at(0, bytes_of("text"));
    file.finish();
    EXPECT_EQ(content_of(path.string() + ".partial"), "text");
    EXPECT_FALSE(fs::exists(path));
    file.commit();
    EXPECT_EQ(content_of(path), "text");
    PartialFile dropped(folder_ / "dropped");
    dropped.finish();
  }
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, RemovesFilesThatAreThere) {
  write_atomically(folder_ / "a", bytes_of("a"));
  write_atomically(folder_ / "b", bytes_of("b"));
  remove_files({folder_ / "a", folder_ / "missing"});
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  EXPECT_EQ(files(), 1u);
  fs::create_directory(folder_ / "folder");
  EXPECT_THAT(error_text([&] { remove_files({folder_ / "folder"}); }),
              HasSubstr("folder: cannot remove"));
  remove_files({});
}

TEST_F(AtomicFileTest, CheckWritableLeavesNothingBehind) {
  const fs::path path = folder_ / "result.h5";
  check_writable(path);
  EXPECT_EQ(files(), 0u);
  write_atomically(path, bytes_of("old"));
  check_writable(path);
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, CheckWritableNamesThePath) {
  const fs::path missing = folder_ / "missing" / "result.h5";
  try {
    check_writable(missing);
    FAIL() << "a missing folder passed";
  } catch (const InputError& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_EQ(error.where, missing.string());
    EXPECT_THAT(error.found, HasSubstr("No such file or directory"));
  }
  EXPECT_THROW(check_writable(folder_), InputError);
  EXPECT_THROW(check_writable(folder_ / ""), InputError);
  EXPECT_THROW(check_writable(""), InputError);
  std::ofstream(folder_ / "file") << "no folder";
  EXPECT_THROW(check_writable(folder_ / "file" / "result.h5"), InputError);
}

TEST_F(AtomicFileTest, CheckWritableNoticesMissingPermission) {
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  const fs::path path = folder_ / "result.h5";
  const int code = exit_code_of_child([&] {
    // Root may write everywhere; an ordinary user may not.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 3;
    return error_text([&] { check_writable(path); }).find("Permission denied") == std::string::npos
               ? 1
               : 0;
  });
  fs::permissions(folder_, fs::perms::owner_all);
  EXPECT_EQ(code, 0);
}

TEST_F(AtomicFileTest, WritesBesideTheWorkingFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  check_writable("plain.h5");
  write_atomically("plain.h5", bytes_of("text"));
  fs::current_path(before);
  EXPECT_EQ(content_of(folder_ / "plain.h5"), "text");
}

TEST_F(AtomicFileTest, ReplacesWithoutFlushing) {
  const fs::path file = folder_ / "small.json";
  for (const std::string text : {"first", "", "the second"}) {
    replace_file(file, bytes_of(text));
    std::ifstream stream(file);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), text);
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_THAT(error_text([&] { replace_file(folder_ / "none" / "f", bytes_of("x")); }),
              HasSubstr("No such file or directory"));
  fs::create_directory(folder_ / "folder");
  EXPECT_THAT(error_text([&] { replace_file(folder_ / "folder", bytes_of("x")); }),
              HasSubstr("rename"));
  EXPECT_EQ(files(), 2u);  // nothing is left behind
}

TEST_F(AtomicFileTest, SeveralMayReplaceOneFile) {
  const fs::path file = folder_ / "file";
  const std::vector<std::string> texts = {std::string(50'000, 'a'), std::string(70'000, 'b')};
  replace_file(file, bytes_of(texts[0]));
  std::vector<std::thread> writers;
  for (const std::string& text : texts) {
    writers.emplace_back([&file, &text] {
      for (int i = 0; i < 200; ++i) replace_file(file, bytes_of(text));
    });
  }
  for (int i = 0; i < 200; ++i) {
    std::ifstream stream(file);
    const std::string found(std::istreambuf_iterator<char>(stream), {});
    EXPECT_TRUE(found == texts[0] || found == texts[1]) << found.size();
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace fp8cal
