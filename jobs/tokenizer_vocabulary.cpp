#include "jobs/tokenizer_vocabulary.hpp"

#include <fmt/format.h>

#include <unordered_set>
#include <utility>

#include "jobs/byte_level.hpp"
#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/utf8.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

std::pair<std::string_view, std::string_view> parts_of(const json& merge, const std::string& where,
                                                       const std::string& what) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space != text.npos && space == text.rfind(' ')) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw InputError(where, what, R"("left right" or ["left", "right"])", shown(merge));
}

}  // namespace

TokenizerVocabulary::TokenizerVocabulary(const json& vocab, const std::string& where)
    : where_(where) {
  model_.reserve(vocab.size());
  for (const auto& [token, id] : vocab.get_ref<const json::object_t&>()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > kMaxTokenId) {
      throw InputError(where, "model.vocab: id of " + in_quotes(token),
                       fmt::format("an integer from 0 to {}", kMaxTokenId), shown(id));
    }
    take_id(id.get<std::uint32_t>(), where + ": model.vocab", token);
    model_.emplace(token, id.get<std::uint32_t>());
  }
}

void TokenizerVocabulary::take_id(std::uint32_t id, const std::string& where,
                                  std::string_view token) {
  if (id >= is_taken_.size()) is_taken_.resize(std::size_t{id} + 1);
  if (is_taken_[id]) {
    throw InputError(where, "id of " + in_quotes(token), "an id of its own",
                     fmt::format("{}, which another token has", id));
  }
  is_taken_[id] = true;
}

void TokenizerVocabulary::add(const AddedToken& token, const std::string& where) {
  if (!added_.emplace(token.content, token.id).second) {
    throw InputError(where, "content", "each token once", "a second " + in_quotes(token.content));
  }
  const auto in_model = model_.find(token.content);
  if (in_model == model_.end()) return take_id(token.id, where, token.content);
  if (in_model->second != token.id) {
    throw InputError(where, "id of " + in_quotes(token.content),
                     fmt::format("{} as in model.vocab", in_model->second),
                     std::to_string(token.id));
  }
}

std::uint32_t TokenizerVocabulary::id_of(std::string_view token, const std::string& what) const {
  const auto found = model_.find(token);
  if (found == model_.end()) {
    throw InputError(where_, what, "tokens of model.vocab", in_quotes(token));
  }
  return found->second;
}

std::array<std::uint32_t, 256> TokenizerVocabulary::byte_ids() const {
  std::array<std::uint32_t, 256> ids{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!occurs_in_utf8(static_cast<unsigned char>(byte))) continue;
    const auto found = model_.find(byte_level_character(static_cast<unsigned char>(byte)));
    if (found == model_.end()) {
      throw InputError(where_, "model.vocab", "a token for every byte of UTF-8",
                       fmt::format("none for byte 0x{:02x}", byte));
    }
    ids[byte] = found->second;
  }
  return ids;
}

std::vector<BpeMerge> TokenizerVocabulary::read_merges(const json& merges) const {
  std::vector<BpeMerge> read;
  read.reserve(merges.size());
  std::unordered_set<std::uint64_t> pairs(merges.size());
  std::string merged;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string what = fmt::format("model.merges[{}]", rank);
    const auto [left, right] = parts_of(merges[rank], where_, what);
    merged.assign(left).append(right);
    const BpeMerge& merge =
        read.emplace_back(BpeMerge{id_of(left, what), id_of(right, what), id_of(merged, what)});
    if (!pairs.insert(std::uint64_t{merge.left} << 32 | merge.right).second) {
      throw InputError(where_, what, "each pair once", shown(merges[rank]));
    }
  }
  return read;
}

TokenIds TokenizerVocabulary::whole_pieces() const {
  TokenIds pieces(model_.size());
  for (const auto& [token, id] : model_) {
    if (auto bytes = byte_level_decode(token)) pieces.emplace(std::move(*bytes), id);
  }
  return pieces;
}

}  // namespace fp8cal
