#include "jobs/added_tokens.hpp"

namespace fp8cal {

AddedTokenMatcher::AddedTokenMatcher() : ids_{kNone} {}

void AddedTokenMatcher::add(const AddedToken& token) {
  starts_[static_cast<unsigned char>(token.content.front())] = true;
  std::uint32_t node = 0;
  for (const char byte : token.content) {
    const auto [child, is_new] =
        children_.try_emplace(edge(node, byte), static_cast<std::uint32_t>(ids_.size()));
    if (is_new) ids_.push_back(kNone);
    node = child->second;
  }
  ids_[node] = token.id;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                std::size_t from) const {
  if (children_.empty()) return std::nullopt;
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    if (const auto match = match_at(text, begin)) return match;
  }
  return std::nullopt;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::match_at(std::string_view text,
                                                                    std::size_t begin) const {
  std::optional<Match> longest;
  std::uint32_t node = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const auto child = children_.find(edge(node, text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (ids_[node] != kNone) longest = Match{begin, i + 1, ids_[node]};
  }
  return longest;
}

}  // namespace fp8cal
