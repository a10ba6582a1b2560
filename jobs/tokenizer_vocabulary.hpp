#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "jobs/added_tokens.hpp"
#include "jobs/bpe.hpp"

namespace fp8cal {

inline constexpr std::uint32_t kMaxTokenId = (std::uint32_t{1} << 22) - 1;

/// The names and ids of a tokenizer.json's tokens, each checked to occur once. Borrows the names
/// from the JSON document and the added tokens' from the caller's vector only while it reads them.
class TokenizerVocabulary {
 public:
  /// `vocab` is model.vocab: an object of token -> id; it must outlive this. Throws InputError
  /// naming `where` and the token for an id that is no integer, beyond kMaxTokenId or given twice.
  TokenizerVocabulary(const nlohmann::json& vocab, const std::string& where);

  /// Takes in a token that is not part of model.vocab, or is so with the same id. Throws InputError
  /// naming `where` where its id or content is taken otherwise.
  void add(const AddedToken& token, const std::string& where);

  /// The token of each byte that text can hold; throws InputError naming one that has none.
  std::array<std::uint32_t, 256> byte_ids() const;
  /// `merges` is model.merges: each "left right" or ["left", "right"]. Throws InputError naming the
  /// merge where a part or the result is no token, or where the pair occurs twice.
  std::vector<BpeMerge> read_merges(const nlohmann::json& merges) const;
  /// Every token of model.vocab that text can hold, by its bytes.
  TokenIds whole_pieces() const;

  bool has_id(std::uint32_t id) const { return id < is_taken_.size() && is_taken_[id]; }
  /// Largest id + 1.
  std::size_t size() const { return is_taken_.size(); }

 private:
  void take_id(std::uint32_t id, const std::string& where, std::string_view token);
  std::uint32_t id_of(std::string_view token, const std::string& what) const;

  std::string where_;
  std::unordered_map<std::string_view, std::uint32_t> model_;  // model.vocab
  TokenIds added_;
  std::vector<bool> is_taken_;  // [largest id + 1]
};

}  // namespace fp8cal
