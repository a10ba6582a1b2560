#include "coordinator/token_cache.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/unit/temp_folder.hpp"
#include "tests/unit/tiny_tokenizer.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::uint32_t>;

class TokenCacheTest : public ::testing::Test {
 protected:
  Ids stream(const std::vector<std::string>& documents,
             StreamKind kind = StreamKind::calibration) const {
    const Dataset dataset{.path = "text", .tokenized = false, .documents = documents, .tokens = {}};
    return cached_stream(cache_, dataset, kind, tokenizer_);
  }

  std::vector<fs::path> files() const {
    return {fs::directory_iterator(cache_), fs::directory_iterator()};
  }

  static std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void write(const fs::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
  }

  TempFolder folder_;
  const fs::path cache_ = folder_.path() / "a" / "tokens";
  const Tokenizer tokenizer_ =
      Tokenizer::load(folder_.write("tokenizer.json", tiny_tokenizer_json().dump()));
};

const std::vector<std::string> kDocuments = {"abc", "", "b"};
const Ids kCalibration = {300, 257, 300, 'b'};
const Ids kEvaluation = {300, 257, '\n', '\n', '\n', '\n', 'b'};

TEST_F(TokenCacheTest, KeepsAndReadsAgain) {
  EXPECT_EQ(stream(kDocuments), kCalibration);
  ASSERT_EQ(files().size(), 1u);
  const fs::path file = files()[0];
  const std::string bytes = read(file);
  EXPECT_EQ(bytes.size(), 88u + 4 * 4);
  EXPECT_EQ(bytes.substr(0, 16), "fp8cal tokens 1\n");
  EXPECT_EQ(bytes[48], 4);
  EXPECT_EQ(file.filename().string().size(), 7u + 32 + 10);
  const auto before = fs::last_write_time(file);
  EXPECT_EQ(stream(kDocuments), kCalibration);
  EXPECT_EQ(fs::last_write_time(file), before);
  EXPECT_EQ(files().size(), 1u);
}

TEST_F(TokenCacheTest, WhatIsKeptIsWhatIsRead) {
  stream(kDocuments);
  const fs::path one = files()[0];
  const std::string other = [&] {
    stream({"abc", "", "c"});
    const auto both = files();
    return read(both[0] == one ? both[1] : both[0]);
  }();
  write(one, other);  // whole, but of another key
  EXPECT_EQ(stream(kDocuments), kCalibration);
}

TEST_F(TokenCacheTest, OtherTextOrKindHasAnotherKey) {
  stream(kDocuments);
  EXPECT_NE(stream(kDocuments, StreamKind::evaluation), kCalibration);
  stream({"abcb"});
  stream({"ab", "cb"});
  stream({"abc", "b"});
  EXPECT_EQ(files().size(), 5u);
  EXPECT_EQ(stream(kDocuments, StreamKind::evaluation), kEvaluation);
}

TEST_F(TokenCacheTest, WhatIsDamagedIsMadeAnew) {
  stream(kDocuments);
  const fs::path file = files()[0];
  const std::string whole = read(file);
  const auto changed = [&whole](std::size_t at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    return bytes;
  };
  std::string huge = whole;
  huge.replace(48, 8, 8, '\xFF');
  for (const std::string& damaged :
       {std::string(), whole.substr(0, 40), whole.substr(0, whole.size() - 1), whole + '\0',
        changed(0), changed(20), changed(48), changed(60), changed(whole.size() - 1), huge}) {
    write(file, damaged);
    EXPECT_EQ(stream(kDocuments), kCalibration);
    EXPECT_EQ(read(file), whole);
  }
}

TEST_F(TokenCacheTest, AFolderThatCannotBeMadeIsNoFailure) {
  folder_.write("a", "a file");
  EXPECT_EQ(stream(kDocuments), kCalibration);
}

}  // namespace
}  // namespace fp8cal
