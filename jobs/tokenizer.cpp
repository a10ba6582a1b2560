#include "jobs/tokenizer.hpp"

#include <span>
#include <utility>

#include "jobs/file.hpp"
#include "jobs/json.hpp"
#include "jobs/sha256.hpp"
#include "jobs/utf8.hpp"

namespace fp8cal {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{256} << 20;

/// Calls on_text(text, offset) for the stretches between the matcher's tokens, and on_token(id) for
/// the tokens, in text order. `offset` is where `text` begins, and is passed on.
template <class OnText, class OnToken>
void split_at_tokens(const AddedTokenMatcher& matcher, std::string_view text, std::size_t offset,
                     const OnText& on_text, const OnToken& on_token) {
  std::size_t begin = 0;
  while (const auto match = matcher.find(text, begin)) {
    on_text(text.substr(begin, match->begin - begin), offset + begin);
    on_token(match->id);
    begin = match->end;
  }
  on_text(text.substr(begin), offset + begin);
}

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& tokenizer_json) {
  const std::string where = tokenizer_json.string();
  const std::string text = read_text_file(tokenizer_json, kMaxFileBytes);
  return {read_tokenizer_json(parse_json(text, where), where), where,
          to_hex(fp8cal::sha256(std::as_bytes(std::span(text))))};
}

Tokenizer::Tokenizer(TokenizerParts parts, const std::string& where, std::string sha256)
    : pretokenizer_(parts.pattern, where),
      bpe_(std::move(parts.bpe)),
      bos_(parts.bos),
      vocabulary_size_(parts.vocabulary_size),
      sha256_(std::move(sha256)) {
  for (const AddedToken& token : parts.added_tokens) {
    (token.normalized ? second_added_ : first_added_).add(token);
  }
}

std::vector<std::uint32_t> Tokenizer::encode(std::string_view text) const {
  check_utf8(text, "text to tokenize");
  std::vector<std::uint32_t> ids;
  ids.reserve(text.size() / 3);
  BpeEncoder encoder(bpe_, ids);
  PieceCursor pieces(pretokenizer_);
  const auto on_token = [&](std::uint32_t id) { ids.push_back(id); };
  const auto on_plain = [&](std::string_view plain, std::size_t offset) {
    pieces.start(plain, offset);
    while (const auto piece = pieces.next()) encoder.append(*piece);
  };
  const auto on_rest = [&](std::string_view rest, std::size_t offset) {
    split_at_tokens(second_added_, rest, offset, on_plain, on_token);
  };
  split_at_tokens(first_added_, text, 0, on_rest, on_token);
  return ids;
}

}  // namespace fp8cal
