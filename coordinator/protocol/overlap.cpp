#include "coordinator/protocol/overlap.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace fp8cal {
namespace {

using Tokens = std::span<const std::uint32_t>;
using Gram = std::span<const std::uint32_t, kOverlapGram>;

constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15;  // odd, so that no token is multiplied away

constexpr std::uint64_t power(std::uint64_t base, std::size_t exponent) {
  std::uint64_t product = 1;
  for (std::size_t i = 0; i < exponent; ++i) product *= base;
  return product;
}

/// Calls visit(hash, position) for each n-gram of `tokens`, in order. The hash is a polynomial in
/// kBase modulo 2^64.
template <class Visit>
void for_each_gram(Tokens tokens, const Visit& visit) {
  constexpr std::uint64_t kOldest = power(kBase, kOverlapGram);
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    hash = hash * kBase + tokens[i] + 1;
    if (i >= kOverlapGram) hash -= kOldest * (tokens[i - kOverlapGram] + std::uint64_t{1});
    if (i + 1 >= kOverlapGram) visit(hash, i + 1 - kOverlapGram);
  }
}

Gram gram_at(Tokens tokens, std::size_t position) {
  return tokens.subspan(position).first<kOverlapGram>();
}

bool says_something(Gram gram) {
  std::array<std::uint32_t, kOverlapGram> sorted;
  std::ranges::copy(gram, sorted.begin());
  std::ranges::sort(sorted);
  const auto repeated = std::ranges::unique(sorted);
  return sorted.size() - repeated.size() >= kDistinctTokens;
}

/// Which n-grams a text may have, by their hashes. Of those that it has not, no more than one in 16
/// is let through.
class GramFilter {
 public:
  explicit GramFilter(Tokens tokens) : bits_(std::bit_ceil(16 * tokens.size() + 2)) {
    for_each_gram(tokens, [&](std::uint64_t hash, std::size_t) { bits_[bit_of(hash)] = true; });
  }

  bool may_have(std::uint64_t hash) const { return bits_[bit_of(hash)]; }

 private:
  /// The high bits of a hash depend on all tokens.
  std::size_t bit_of(std::uint64_t hash) const {
    return hash >> (64 - std::countr_zero(bits_.size()));
  }

  std::vector<bool> bits_;
};

/// The n-grams of the calibration sequences that a filter lets through, to be looked up.
class GramIndex {
 public:
  GramIndex(const TokenWindows& windows, const GramFilter& wanted) : tokens_(windows.tokens) {
    if (windows.sequence_length < kOverlapGram) return;
    for (std::size_t window = 0; window < windows.windows(); ++window) {
      const std::size_t begin = window * windows.sequence_length;
      for_each_gram(tokens_.subspan(begin, windows.sequence_length),
                    [&](std::uint64_t hash, std::size_t position) {
                      if (wanted.may_have(hash)) entries_.push_back({hash, begin + position});
                    });
    }
    std::ranges::sort(entries_, {}, [](const Entry& one) { return std::pair(one.hash, one.at); });
  }

  /// Where the n-gram stands first.
  std::optional<std::size_t> find(std::uint64_t hash, Gram gram) const {
    for (auto at = std::ranges::lower_bound(entries_, hash, {}, &Entry::hash);
         at != entries_.end() && at->hash == hash; ++at) {
      if (std::ranges::equal(gram, gram_at(tokens_, at->at))) return at->at;
    }
    return std::nullopt;
  }

 private:
  struct Entry {
    std::uint64_t hash;
    std::size_t at;  // in tokens_
  };

  Tokens tokens_;
  std::vector<Entry> entries_;
};

Overlap::Place place_of(std::size_t at, const TokenWindows& windows) {
  return {at / windows.sequence_length, at % windows.sequence_length};
}

}  // namespace

std::size_t Overlap::allowed() const {
  return std::max(kOverlapGram, evaluation_tokens / kTokensPerChance);
}

Overlap find_overlap(const TokenWindows& calibration, const TokenWindows& evaluation) {
  Overlap found;
  found.evaluation_tokens = evaluation.tokens.size();
  const GramIndex index(calibration, GramFilter(evaluation.tokens));
  std::size_t covered = 0;  // tokens before this one are counted
  for_each_gram(evaluation.tokens, [&](std::uint64_t hash, std::size_t at) {
    const Gram gram = gram_at(evaluation.tokens, at);
    const std::optional<std::size_t> there = index.find(hash, gram);
    if (!there || !says_something(gram)) return;
    if (found.grams++ == 0) {
      found.evaluation = place_of(at, evaluation);
      found.calibration = place_of(*there, calibration);
    }
    found.tokens += at + kOverlapGram - std::max(covered, at);
    covered = at + kOverlapGram;
  });
  return found;
}

}  // namespace fp8cal
