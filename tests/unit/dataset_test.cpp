#include "jobs/dataset.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "jobs/hdf5.hpp"
#include "jobs/json_lines.hpp"
#include "jobs/sha256.hpp"
#include "jobs/tokenizer.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"
#include "tests/unit/test_data.hpp"
#include "tests/unit/tiny_tokenizer.hpp"

namespace fp8cal {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Ids = std::vector<std::uint32_t>;

class DatasetFiles : public testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view bytes) const {
    return folder_.write(name, bytes).string();
  }
  /// An HDF5 file whose dataset "group/ids" holds `values` in an integer type of the file.
  std::string write_hdf5(const hdf5::Shape& shape, const std::vector<std::int64_t>& values,
                         hid_t type) const {
    const std::string path = (folder_.path() / "ids.h5").string();
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t group = H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t ids = H5Dcreate2(group, "ids", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(ids, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(ids);
    H5Sclose(space);
    H5Gclose(group);
    H5Fclose(file);
    return path;
  }
  static std::string refusal(const std::string& path, std::vector<std::string> fields = {"text"}) {
    return error_text([&] { read_dataset({path, fields}); });
  }
  Tokenizer tiny() const {
    return Tokenizer::load(folder_.write("tokenizer.json", tiny_tokenizer_json().dump()));
  }

 private:
  TempFolder folder_;
};

TEST_F(DatasetFiles, TextIsOneDocument) {
  const Dataset dataset = read_dataset({write("a.txt", "one\n\ntwo\r\n")});
  EXPECT_FALSE(dataset.tokenized);
  EXPECT_THAT(dataset.documents, ElementsAre("one\n\ntwo\r\n"));
}

TEST_F(DatasetFiles, JsonLinesAreADocumentALine) {
  const std::string path = write(
      "a.jsonl",
      "{\"text\": \"one\\n\"}\n\n \t\r\n{\"x\": 1, \"text\": \"\\u00e9\"}\r\n{\"text\":\"\"}");
  EXPECT_THAT(read_dataset({path}).documents, ElementsAre("one\n", "\u00e9", ""));
}

TEST_F(DatasetFiles, JsonLinesJoinFieldsInTheOrderGiven) {
  const std::string path = write("a.json", R"({"a": "1", "b": "2", "c": ""})");
  EXPECT_THAT(read_dataset({path, {"b", "a"}}).documents, ElementsAre("2\n\n1"));
  EXPECT_THAT(read_dataset({path, {"c", "a"}}).documents, ElementsAre("\n\n1"));
}

TEST_F(DatasetFiles, JsonLinesErrorsNameLineAndField) {
  EXPECT_THAT(refusal(write("a.jsonl", "{\"text\": \"a\"}\n\n{\"t\": 1}\n")),
              HasSubstr("a.jsonl:3: text: expected the key, found none"));
  EXPECT_THAT(refusal(write("a.jsonl", "{\"text\": 1}\n")),
              HasSubstr("a.jsonl:1: text: expected a string, found 1"));
  EXPECT_THAT(refusal(write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")),
              HasSubstr("a.jsonl:2"));
  EXPECT_THAT(refusal(write("a.jsonl", "[1]\n")), HasSubstr("a.jsonl:1"));
  EXPECT_THAT(refusal(write("a.jsonl", "{\"text\": \"\xFF\"}\n")), HasSubstr("a.jsonl:1"));
}

TEST_F(DatasetFiles, JsonLinesMayBeLongerThanWhatIsReadAtOnce) {
  std::string lines;
  std::vector<std::string> expected;
  for (const std::size_t length : {3'000'000, 1, 1 << 20, (1 << 20) - 13, 0, 5}) {
    expected.emplace_back(length, 'x');
    lines += "{\"text\": \"" + expected.back() + "\"}\n";
  }
  EXPECT_EQ(read_dataset({write("a.jsonl", lines)}).documents, expected);
}

TEST_F(DatasetFiles, JsonLinesAreBounded) {
  const std::string path = write("a.jsonl", "{\"text\": \"a\"}\n");
  std::filesystem::resize_file(path, kMaxJsonLine + (8 << 20));  // a hole of NUL bytes, no newline
  EXPECT_THAT(refusal(path),
              HasSubstr("a.jsonl:2: length of the line: expected at most 268435456"));
}

TEST_F(DatasetFiles, RawIdsAreLittleEndian) {
  using namespace std::string_view_literals;
  for (const char* name : {"a.u32", "a.tokens"}) {
    const Dataset dataset = read_dataset({write(name, "\x01\x02\0\0\xFF\xFF\xFF\xFF"sv)});
    EXPECT_TRUE(dataset.tokenized);
    EXPECT_THAT(dataset.tokens, ElementsAre(513, 4294967295));
  }
  EXPECT_THAT(refusal(write("a.u32", "12345")), HasSubstr("a multiple of 4 bytes, found 5"));
}

TEST_F(DatasetFiles, Hdf5IdsOfAnyShapeAndTypeAreFlattened) {
  for (const hid_t type : {H5T_STD_I32LE, H5T_STD_U16BE, H5T_STD_I8LE, H5T_STD_U64LE}) {
    const std::string path = write_hdf5({2, 3}, {1, 2, 3, 4, 5, 127}, type);
    EXPECT_THAT(read_dataset({path + ":/group/ids"}).tokens, ElementsAre(1, 2, 3, 4, 5, 127));
    EXPECT_TRUE(read_dataset({path + ":group/ids"}).tokenized);
  }
}

TEST_F(DatasetFiles, Hdf5IdsMustBeIds) {
  const auto refused = [&](std::int64_t id) {
    return refusal(write_hdf5({2}, {7, id}, H5T_STD_I64LE) + ":group/ids");
  };
  EXPECT_THAT(read_dataset({write_hdf5({1}, {4294967295}, H5T_STD_I64LE) + ":group/ids"}).tokens,
              ElementsAre(4294967295));
  EXPECT_THAT(refused(4294967296), AllOf(HasSubstr("position 1"), HasSubstr("found 4294967296")));
  EXPECT_THAT(refused(-1), AllOf(HasSubstr("ids.h5"), HasSubstr("position 1"), HasSubstr("-1")));
  const std::string floats = write_hdf5({2}, {1, 2}, H5T_IEEE_F32LE);
  EXPECT_THAT(refusal(floats + ":group/ids"), HasSubstr("group/ids"));
}

TEST_F(DatasetFiles, Hdf5NeedsADatasetThatExists) {
  const std::string path = write_hdf5({1}, {1}, H5T_STD_I32LE);
  EXPECT_THAT(refusal(path), HasSubstr("FILE.h5:/DATASET"));
  EXPECT_THAT(refusal(path + ":"), HasSubstr("FILE.h5:/DATASET"));
  EXPECT_THAT(refusal(path + ":nothing"), HasSubstr("nothing"));
  EXPECT_THAT(refusal(path + ":group"), HasSubstr("group"));
  EXPECT_THAT(refusal("/nowhere/x.h5:ids"), HasSubstr("/nowhere/x.h5"));
  EXPECT_THAT(refusal(write("b.h5", "text") + ":ids"), HasSubstr("b.h5"));
  EXPECT_THAT(refusal(write_hdf5({0}, {}, H5T_STD_I32LE) + ":group/ids"), HasSubstr("found none"));
}

TEST_F(DatasetFiles, NothingToReadIsRefused) {
  for (const char* name : {"e.txt", "e.jsonl", "e.u32"}) {
    EXPECT_THAT(refusal(write(name, "")), AllOf(HasSubstr(name), HasSubstr("empty file")));
  }
  EXPECT_THAT(refusal(write("e.jsonl", "\n  \n")), HasSubstr("found none"));
  EXPECT_THAT(refusal(write("e.jsonl", "{\"text\": \"\"}\n")), HasSubstr("found none"));
  for (const char* path : {"/nowhere/a.txt", "/nowhere/a.jsonl", "/nowhere/a.u32"}) {
    EXPECT_THAT(refusal(path), HasSubstr(path));
  }
  EXPECT_THAT(refusal("/"), HasSubstr("a regular file"));
}

TEST_F(DatasetFiles, InvalidTextNamesTheByte) {
  EXPECT_THAT(refusal(write("a.txt", "abc\xE2\x82")),
              AllOf(HasSubstr("a.txt: text at byte 3"), HasSubstr("0xe2")));
}

TEST_F(DatasetFiles, CalibrationPutsABosBeforeEachDocument) {
  const Tokenizer tokenizer = tiny();
  const Dataset dataset{"d", false, {"ab", "", "c"}, {}};
  EXPECT_THAT(calibration_stream(dataset, &tokenizer), ElementsAre(300, 256, 300, 'c'));
}

TEST_F(DatasetFiles, EvaluationJoinsDocumentsAfterOneBos) {
  const Tokenizer tokenizer = tiny();
  const Dataset dataset{"d", false, {"ab", "", "c"}, {}};
  EXPECT_THAT(evaluation_stream(dataset, &tokenizer),
              ElementsAre(300, 256, '\n', '\n', '\n', '\n', 'c'));
}

TEST(Streams, TakeTokensAsTheyAreWithoutATokenizer) {
  const Dataset dataset{"d.u32", true, {}, {5, 6, 7}};
  EXPECT_THAT(calibration_stream(dataset, nullptr), ElementsAre(5, 6, 7));
  EXPECT_THAT(evaluation_stream(dataset, nullptr), ElementsAre(5, 6, 7));
}

TEST(Streams, NeedATokenizerForText) {
  const Dataset dataset{"d.txt", false, {"ab"}, {}};
  for (const auto& stream : {calibration_stream, evaluation_stream}) {
    EXPECT_THAT(error_text([&] { stream(dataset, nullptr); }),
                AllOf(HasSubstr("d.txt"), HasSubstr("tokenizer.json")));
  }
}

TEST(TokenIds, MustBeOfTheVocabulary) {
  EXPECT_NO_THROW(check_token_ids(Ids{0, 9, 3}, 10, "d.u32"));
  EXPECT_THAT(error_text([] {
                check_token_ids(Ids{0, 9, 10, 11}, 10, "d.u32");
              }),
              AllOf(HasSubstr("d.u32: token id at position 2"), HasSubstr("below 10"),
                    HasSubstr("found 10")));
}

/// Of the ids as little-endian u32.
std::string sha256_of(const Ids& ids) { return to_hex(sha256(std::as_bytes(std::span(ids)))); }

// The hashes are of what Hugging Face tokenizers 0.23.3 gives.
TEST(RealDataset, OpenOrcaGivesTheIdsOfHuggingFace) {
  FP8CAL_DATA_OR_SKIP();
  const Tokenizer tokenizer = Tokenizer::load(data_folder() / "models/nano-llama/tokenizer.json");
  const Dataset dataset = read_dataset({(data_folder() / "calibration/openorca.jsonl").string(),
                                        {"system_prompt", "question", "response"}});
  EXPECT_EQ(dataset.documents.size(), 284U);
  const Ids calibration = calibration_stream(dataset, &tokenizer);
  EXPECT_EQ(calibration.size(), 212865U);
  EXPECT_EQ(sha256_of(calibration),
            "94b4a18a873dd43f2a95aaf3dc49cfc5aa3ada72cc0100535047e5cb4efc4b04");
  const Ids evaluation = evaluation_stream(dataset, &tokenizer);
  EXPECT_EQ(evaluation.size(), 212631U);
  EXPECT_EQ(sha256_of(evaluation),
            "8d16d1fc6954d171b7053d6127d4298d6fd0f27afea04ef2f527842e446d6806");
}

}  // namespace
}  // namespace fp8cal
