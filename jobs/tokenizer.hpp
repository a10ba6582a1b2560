#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/added_tokens.hpp"
#include "jobs/bpe.hpp"
#include "jobs/pretokenizer.hpp"
#include "jobs/tokenizer_json.hpp"

namespace fp8cal {

/// A Hugging Face byte-level BPE tokenizer, as Llama 3 uses it. Gives the ids of huggingface/
/// tokenizers; characters newer than PCRE2's Unicode tables split as unassigned ones do.
/// Immutable, so one may serve many threads.
class Tokenizer {
 public:
  /// Reads a tokenizer.json. Throws InputError as read_tokenizer_json does.
  static Tokenizer load(const std::filesystem::path& tokenizer_json);

  /// The ids of `text`, without BOS; added tokens inside it become their ids. Throws InputError
  /// naming the byte where it is not valid UTF-8.
  std::vector<std::uint32_t> encode(std::string_view text) const;

  /// What the TemplateProcessing post-processor puts before a text.
  std::uint32_t bos() const { return bos_; }
  /// Largest id + 1.
  std::size_t vocabulary_size() const { return vocabulary_size_; }
  /// Of the file's bytes, in hexadecimal.
  const std::string& sha256() const { return sha256_; }

 private:
  Tokenizer(TokenizerParts parts, const std::string& where, std::string sha256);

  AddedTokenMatcher first_added_;   // looked for in the text
  AddedTokenMatcher second_added_;  // looked for in what the first leave
  Pretokenizer pretokenizer_;
  Bpe bpe_;
  std::uint32_t bos_;
  std::size_t vocabulary_size_;
  std::string sha256_;
};

}  // namespace fp8cal
