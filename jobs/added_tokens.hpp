#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fp8cal {

/// A token that is looked for in the text itself, before any splitting.
struct AddedToken {
  std::string content;  ///< never empty
  std::uint32_t id = 0;
  bool normalized = false;  ///< looked for after all those that are not
};

/// Finds a set of added tokens in text.
class AddedTokenMatcher {
 public:
  struct Match {
    std::size_t begin = 0;  ///< byte offsets into the text
    std::size_t end = 0;
    std::uint32_t id = 0;
  };

  AddedTokenMatcher();
  void add(const AddedToken& token);
  /// The leftmost match that begins at `from` or later; of several there, the longest.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static std::uint64_t edge(std::uint32_t node, char byte) {
    return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
  }
  std::optional<Match> match_at(std::string_view text, std::size_t begin) const;

  // A trie: node 0 is the root.
  std::unordered_map<std::uint64_t, std::uint32_t> children_;  // edge -> node
  std::vector<std::uint32_t> ids_;  // [nodes]: of the token that ends here
  std::array<bool, 256> starts_{};  // [byte]: some token begins with it
};

}  // namespace fp8cal
