#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "jobs/added_tokens.hpp"
#include "jobs/bpe.hpp"

namespace fp8cal {

/// What a tokenizer.json says.
struct TokenizerParts {
  std::string pattern;  ///< of the Split pre-tokenizer
  Bpe::Tables bpe;
  std::vector<AddedToken> added_tokens;
  std::uint32_t bos = 0;
  std::size_t vocabulary_size = 0;  ///< largest id + 1
};

/// Reads Hugging Face's tokenizer.json (huggingface/tokenizers, version "1.0") of a byte-level BPE
/// tokenizer as Llama 3 has it. Throws InputError naming `where` and the key for any component or
/// option that fp8cal does not implement, and where the vocabulary, the merges and the added tokens
/// contradict each other. Truncation, padding and the decoder do not apply and are ignored.
TokenizerParts read_tokenizer_json(const nlohmann::json& document, const std::string& where);

}  // namespace fp8cal
