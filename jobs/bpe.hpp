#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fp8cal {

/// A hash by which a map of strings is searched for a string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using TokenIds = std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>>;

/// Two adjacent tokens and the one that replaces them.
struct BpeMerge {
  std::uint32_t left = 0;
  std::uint32_t right = 0;
  std::uint32_t merged = 0;
};

/// Byte-level byte-pair encoding (Sennrich et al., 2016): starts from a piece's single bytes and
/// applies the adjacent merge of the lowest rank, leftmost first, until none applies.
class Bpe {
 public:
  struct Tables {
    std::array<std::uint32_t, 256> byte_ids{};  ///< the token of each single byte
    std::vector<BpeMerge> merges;               ///< [rank]; each (left, right) once
    TokenIds whole_pieces;  ///< bytes -> id: pieces that are one token whatever the merges say
  };

  explicit Bpe(Tables tables);

 private:
  friend class BpeEncoder;
  static constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();
  static std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) {
    return std::uint64_t{left} << 32 | right;
  }
  std::uint32_t rank_of(std::uint32_t left, std::uint32_t right) const {
    const auto found = ranks_.find(pair_key(left, right));
    return found == ranks_.end() ? kNoRank : found->second;
  }

  Tables tables_;
  std::unordered_map<std::uint64_t, std::uint32_t> ranks_;  // pair_key -> index into merges
};

/// Appends the ids of piece after piece, with what it learnt of the pieces before. Takes
/// O(n log n) for a piece of n bytes.
class BpeEncoder {
 public:
  /// `bpe`, `ids` and the text of all pieces must outlive it; nobody else may change `ids`'
  /// beginning.
  BpeEncoder(const Bpe& bpe, std::vector<std::uint32_t>& ids) : bpe_(bpe), ids_(ids) {}

  /// Throws InputError for a piece of 2^31 bytes and more.
  void append(std::string_view piece);

 private:
  struct Symbol {
    std::uint32_t id;
    std::uint32_t previous;
    std::uint32_t next;
  };

  void merge_all(std::string_view piece);
  void push_candidate(std::uint32_t left);
  void apply(const BpeMerge& merge, std::uint32_t left);

  const Bpe& bpe_;
  std::vector<std::uint32_t>& ids_;
  /// piece -> begin and count of its ids in ids_
  std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> seen_;
  std::vector<Symbol> symbols_;            // a list linked in text order, one a byte at first
  std::vector<std::uint64_t> candidates_;  // a heap, the least on top: rank << 32 | left symbol
};

}  // namespace fp8cal
