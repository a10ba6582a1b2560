#include "jobs/tokenizer.hpp"

#include <gmock/gmock.h>

#include <ctime>
#include <functional>
#include <tuple>

#include "jobs/dataset.hpp"
#include "jobs/file.hpp"
#include "jobs/sha256.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/temp_folder.hpp"
#include "tests/unit/test_data.hpp"
#include "tests/unit/tiny_tokenizer.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Lt;

using Ids = std::vector<std::uint32_t>;

Tokenizer load(const std::string& text) {
  const TempFolder folder;
  return Tokenizer::load(folder.write("tokenizer.json", text));
}
Tokenizer load(const json& document) { return load(document.dump()); }

TEST(Tokenizer, EncodesBytesAndMerges) {
  const Tokenizer tokenizer = load(tiny_tokenizer_json());
  EXPECT_THAT(tokenizer.encode("abcab"), ElementsAre(257, 256));
  EXPECT_THAT(tokenizer.encode("b ab"), ElementsAre('b', ' ', 256));
  EXPECT_THAT(tokenizer.encode("a\n\u00e9"), ElementsAre('a', '\n', 0xC3, 0xA9));
  EXPECT_THAT(tokenizer.encode(""), ElementsAre());
  EXPECT_EQ(tokenizer.bos(), 300U);
  EXPECT_EQ(tokenizer.vocabulary_size(), 303U);
}

TEST(Tokenizer, ReadsMergesInBothNotations) {
  json document = tiny_tokenizer_json();
  const Ids ids = load(document).encode("abc cab ab xabcab");
  document["model"]["merges"] = json::array(
      {json::array({"a", "b"}), json::array({"ab", "c"}), json::array({"\u0120", "a"})});
  EXPECT_EQ(load(document).encode("abc cab ab xabcab"), ids);
}

TEST(Tokenizer, TakesWholePiecesWhereMergesAreIgnored) {
  json document = tiny_tokenizer_json();
  EXPECT_THAT(load(document).encode("x ab"), ElementsAre('x', ' ', 256));
  document["model"]["ignore_merges"] = true;
  EXPECT_THAT(load(document).encode("x ab"), ElementsAre('x', 259));
}

TEST(Tokenizer, FindsAddedTokensInsideText) {
  const Tokenizer tokenizer = load(tiny_tokenizer_json());
  EXPECT_THAT(tokenizer.encode("ab<x>c<bos><bo"), ElementsAre(256, 301, 'c', 300, '<', 'b', 'o'));
  EXPECT_THAT(tokenizer.encode("aplain<x>"), ElementsAre('a', 302, 301));
  // Text on the two sides of an added token is split apart: no merge reaches across it.
  EXPECT_THAT(tokenizer.encode("a<x>b"), ElementsAre('a', 301, 'b'));
}

TEST(Tokenizer, PrefersTheLongestAddedTokenAtTheLeftmostPlace) {
  json document = tiny_tokenizer_json();
  json& added = document["added_tokens"];
  for (const auto& [content, id] : {std::pair("<x>y", 310), {"b<x", 311}, {"<x>yzz", 312}}) {
    added.push_back(added[1]);
    added.back()["content"] = content;
    added.back()["id"] = id;
  }
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("<x>yz"), ElementsAre(310, 'z'));
  EXPECT_THAT(tokenizer.encode("b<x>y"), ElementsAre(311, '>', 'y'));
}

TEST(Tokenizer, FindsNormalizedAddedTokensLast) {
  json document = tiny_tokenizer_json();
  document["added_tokens"][1]["content"] = "in<";
  const Tokenizer tokenizer = load(document);
  EXPECT_THAT(tokenizer.encode("plain<"), ElementsAre('p', 'l', 'a', 301));
}

TEST(Tokenizer, AcceptsATemplateWithoutASequenceAroundIt) {
  json document = tiny_tokenizer_json();
  document["post_processor"] = json(document["post_processor"]["processors"][1]);
  EXPECT_EQ(load(document).bos(), 300U);
}

TEST(Tokenizer, HashesTheFile) {
  const std::string text = tiny_tokenizer_json().dump();
  EXPECT_EQ(load(text).sha256(), to_hex(sha256(std::as_bytes(std::span(text)))));
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  const Tokenizer tokenizer = load(tiny_tokenizer_json());
  EXPECT_THAT(error_text([&] { tokenizer.encode("ab\xC3("); }),
              AllOf(HasSubstr("byte 2"), HasSubstr("valid UTF-8")));
}

/// JSON pointer of what is replaced, its new value, and what the message must say.
using Refusals = std::vector<std::tuple<std::string, json, std::string>>;

TEST(Tokenizer, NamesWhatItDoesNotImplement) {
  const std::string pre = "/pre_tokenizer/pretokenizers";
  const std::string post = "/post_processor/processors";
  const json sequence_only = {{{"Sequence", {{"id", "A"}}}}};
  const Refusals refusals = {
      {"/version", "2.0", "version: expected \"1.0\""},
      {"/normalizer", {{"type", "NFC"}}, "normalizer: expected null"},
      {"/surprise", 1, "key: expected one that fp8cal implements, found \"surprise\""},
      {"/model/type", "WordPiece", "model: type: expected BPE, found \"WordPiece\""},
      {"/model/dropout", 0.1, "dropout: expected null, found 0.1"},
      {"/model/byte_fallback", true, "byte_fallback: expected false, found true"},
      {"/model/fuse_unk", true, "fuse_unk: expected false"},
      {"/model/continuing_subword_prefix", "##", "continuing_subword_prefix: expected null"},
      {"/model/end_of_word_suffix", "</w>", "end_of_word_suffix: expected null"},
      {"/model/other", 1, "model: key"},
      {"/pre_tokenizer", nullptr, "pre_tokenizer: expected an object, found null"},
      {"/pre_tokenizer/type", "Whitespace", "type: expected Sequence"},
      {pre + "/0/type", "Digits", "type: expected Split"},
      {pre + "/0/behavior", "Removed", "behavior: expected \"Isolated\", found \"Removed\""},
      {pre + "/0/invert", true, "invert: expected false"},
      {pre + "/0/pattern", {{"String", " "}}, "found \"String\""},
      {pre + "/1/type", "Metaspace", "type: expected ByteLevel"},
      {pre + "/1/add_prefix_space", true, "add_prefix_space: expected false"},
      {pre + "/1/use_regex", true, "use_regex: expected false"},
      {pre + "/2", {{"type", "Digits"}}, "pretokenizers: expected Split and ByteLevel"},
      {post + "/1/type", "BertProcessing", "type: expected one TemplateProcessing"},
      {post + "/1/type", "ByteLevel", "expected TemplateProcessing"},
      {post + "/1/single", sequence_only, "single: expected one special token, then the text"},
      {post + "/1/special_tokens/<bos>/ids", {300, 301}, "expected one token id"},
      {post + "/1/special_tokens/<bos>/ids", {299}, "expected the id of a token, found 299"},
      {"/post_processor", nullptr, "post_processor: expected an object"},
      {"/added_tokens/1/lstrip", true, "added_tokens[1]: lstrip: expected false"},
      {"/added_tokens/1/rstrip", true, "rstrip: expected false"},
      {"/added_tokens/1/single_word", true, "single_word: expected false"},
      {"/added_tokens/1/content", "", "content: expected some text"},
  };
  for (const auto& [pointer, value, message] : refusals) {
    json document = tiny_tokenizer_json();
    document[json::json_pointer(pointer)] = value;
    EXPECT_THAT(error_text([&] { load(document); }),
                AllOf(HasSubstr("tokenizer.json"), HasSubstr(message)));
  }
}

TEST(Tokenizer, RefusesContradictions) {
  const Refusals refusals = {
      {"/model/vocab/ab", 97, "another token has"},
      {"/model/vocab/ab", 1 << 22, "an integer from 0 to 4194303"},
      {"/model/vocab/ab", -1, "an integer from 0"},
      {"/model/vocab/ab", 1.5, "an integer from 0"},
      {"/model/merges/1", "ab d",
       R"(model.merges[1]: expected tokens of model.vocab, found "abd")"},
      {"/model/merges/1", "abx c", R"(found "abx")"},
      {"/model/merges/1", "a b", "model.merges[1]: expected each pair once"},
      {"/model/merges/1", "abc", "model.merges[1]"},
      {"/model/merges/1", "a b c", "model.merges[1]"},
      {"/model/merges/1", {"a", "b", "c"}, "model.merges[1]"},
      {"/model/merges/1", {"a", 1}, "model.merges[1]"},
      {"/added_tokens/1/id", 300, "another token has"},
      {"/added_tokens/1/id", 97, "another token has"},
      {"/added_tokens/1/id", 1 << 22, "from 0 to 4194303"},
      {"/added_tokens/1/content", "<bos>", "a second \"<bos>\""},
      {"/added_tokens/1/content", "ab", "expected 256 as in model.vocab, found 301"},
  };
  for (const auto& [pointer, value, message] : refusals) {
    json document = tiny_tokenizer_json();
    document[json::json_pointer(pointer)] = value;
    EXPECT_THAT(error_text([&] { load(document); }), HasSubstr(message)) << pointer << value;
  }
}

TEST(Tokenizer, NeedsATokenForEveryByteOfUtf8) {
  json document = tiny_tokenizer_json();
  document["model"]["vocab"].erase("\u00FF");  // 0xFF is no byte of UTF-8
  EXPECT_NO_THROW(load(document));
  document["model"]["vocab"].erase("q");
  EXPECT_THAT(error_text([&] { load(document); }), HasSubstr("none for byte 0x71"));
}

TEST(Tokenizer, RefusesMissingAndDamagedFiles) {
  EXPECT_THAT(error_text([] { Tokenizer::load("/nowhere/tokenizer.json"); }),
              HasSubstr("/nowhere/tokenizer.json"));
  EXPECT_THAT(error_text([] { load(std::string("{\"version\": ")); }), HasSubstr("valid JSON"));
  EXPECT_THAT(error_text([] { load(std::string("[]")); }), HasSubstr("expected an object"));
}

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
constexpr bool kTimesMatter = true;
#else
constexpr bool kTimesMatter = false;
#endif

/// Processor seconds that `work` takes, which other processes do not change much.
double seconds_of(const std::function<void()>& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

void expect_faster(double seconds, double limit, const std::string& what) {
  testing::Test::RecordProperty(what, std::to_string(seconds));
  if (!kTimesMatter) return;
  EXPECT_THAT(seconds, Lt(limit)) << what;
}

Tokenizer llama31() { return Tokenizer::load(data_folder() / "llama31/tokenizer.json"); }

TEST(RealTokenizer, GivesLlama31TheIdsOfHuggingFaceInTime) {
  FP8CAL_DATA_OR_SKIP();
  const double loading = seconds_of([] { llama31(); });
  const Tokenizer tokenizer = llama31();
  EXPECT_EQ(tokenizer.vocabulary_size(), 128256U);
  const Ids golden =
      read_dataset({(data_folder() / "llama31/wikitext2-test.tokens.u32").string()}).tokens;
  ASSERT_EQ(golden.size(), 289077U);
  const std::string text = read_text_file(data_folder() / "wikitext2/test.txt", 1 << 24);
  Ids ids;
  const double encoding = seconds_of([&] { ids = tokenizer.encode(text); });
  ids.insert(ids.begin(), tokenizer.bos());
  EXPECT_EQ(ids, golden);
  expect_faster(loading, 1.5, "load_seconds");
  expect_faster(encoding, 0.5, "encode_seconds");
}

TEST(RealTokenizer, GivesTheTestModelsTheIdsOfHuggingFace) {
  FP8CAL_DATA_OR_SKIP();
  for (const char* model : {"nano-llama", "small-llama"}) {
    const auto folder = data_folder() / "models" / model;
    const Tokenizer tokenizer = Tokenizer::load(folder / "tokenizer.json");
    const Ids golden = read_dataset({(folder / "golden.h5:test_tokens").string()}).tokens;
    const Dataset text = read_dataset({(data_folder() / "wikitext2/test.txt").string()});
    EXPECT_EQ(evaluation_stream(text, &tokenizer), golden) << model;
    EXPECT_EQ(calibration_stream(text, &tokenizer), golden) << model;
  }
}

TEST(RealTokenizer, TakesNoLongerForMonotonousText) {
  FP8CAL_DATA_OR_SKIP();
  const Tokenizer tokenizer = llama31();
  const std::size_t size = 1'000'000;
  const std::string half(size / 2, ' ');
  for (const std::string& text :
       {std::string(size, 'a'), std::string(size, ' '), std::string(size, '\n'),
        std::string(size, '7'), std::string(size, '<'), std::string(size, ' ') + "x",
        half + "\n" + half + "x"}) {
    Ids ids;
    const double seconds = seconds_of([&] { ids = tokenizer.encode(text); });
    EXPECT_FALSE(ids.empty());
    expect_faster(seconds, 1.5, "monotonous_seconds");
  }
}

}  // namespace
}  // namespace fp8cal
