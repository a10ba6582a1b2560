#include "jobs/bpe.hpp"

#include <algorithm>
#include <functional>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMaxPiece = (std::size_t{1} << 31) - 1;
constexpr std::size_t kMaxSeen = std::size_t{1} << 17;
constexpr std::size_t kMaxSeenPiece = 256;
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kMergedAway = kNone;

}  // namespace

Bpe::Bpe(Tables tables) : tables_(std::move(tables)) {
  ranks_.reserve(tables_.merges.size());
  for (std::uint32_t rank = 0; rank < tables_.merges.size(); ++rank) {
    const BpeMerge& merge = tables_.merges[rank];
    ranks_.emplace(pair_key(merge.left, merge.right), rank);
  }
}

void BpeEncoder::append(std::string_view piece) {
  if (const auto whole = bpe_.tables_.whole_pieces.find(piece);
      whole != bpe_.tables_.whole_pieces.end()) {
    ids_.push_back(whole->second);
    return;
  }
  const std::size_t begin = ids_.size();
  if (const auto seen = seen_.find(piece); seen != seen_.end()) {
    const auto [first, count] = seen->second;
    for (std::size_t i = 0; i < count; ++i) ids_.push_back(ids_[first + i]);
    return;
  }
  merge_all(piece);
  if (piece.size() <= kMaxSeenPiece && seen_.size() < kMaxSeen) {
    seen_.emplace(piece, std::pair(begin, ids_.size() - begin));
  }
}

void BpeEncoder::merge_all(std::string_view piece) {
  if (piece.size() > kMaxPiece) {
    throw InputError("text", "length of a piece without a break", "less than 2^31 bytes",
                     std::to_string(piece.size()));
  }
  const auto size = static_cast<std::uint32_t>(piece.size());
  symbols_.resize(size);
  for (std::uint32_t i = 0; i < size; ++i) {
    symbols_[i] = {bpe_.tables_.byte_ids[static_cast<unsigned char>(piece[i])],
                   i == 0 ? kNone : i - 1, i + 1 == size ? kNone : i + 1};
  }
  candidates_.clear();
  for (std::uint32_t i = 0; i + 1 < size; ++i) push_candidate(i);

  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>{});
    const std::uint64_t candidate = candidates_.back();
    candidates_.pop_back();
    apply(bpe_.tables_.merges[candidate >> 32], static_cast<std::uint32_t>(candidate));
  }
  for (std::uint32_t i = 0; i != kNone; i = symbols_[i].next) ids_.push_back(symbols_[i].id);
}

void BpeEncoder::push_candidate(std::uint32_t left) {
  const std::uint32_t right = symbols_[left].next;
  const std::uint32_t rank = bpe_.rank_of(symbols_[left].id, symbols_[right].id);
  if (rank == Bpe::kNoRank) return;
  candidates_.push_back(std::uint64_t{rank} << 32 | left);
  std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>{});
}

void BpeEncoder::apply(const BpeMerge& merge, std::uint32_t left) {
  // Another merge may have taken either token since this one became a candidate.
  const std::uint32_t right = symbols_[left].next;
  if (symbols_[left].id != merge.left || right == kNone || symbols_[right].id != merge.right)
    return;
  symbols_[left].id = merge.merged;
  symbols_[left].next = symbols_[right].next;
  symbols_[right].id = kMergedAway;
  if (symbols_[left].next != kNone) {
    symbols_[symbols_[left].next].previous = left;
    push_candidate(left);
  }
  if (symbols_[left].previous != kNone) push_candidate(symbols_[left].previous);
}

}  // namespace fp8cal
