#include "jobs/bpe.hpp"

#include <gmock/gmock.h>

#include <random>

namespace fp8cal {
namespace {

using testing::ElementsAre;

using Ids = std::vector<std::uint32_t>;

/// Byte b is token b.
Bpe::Tables byte_tables(std::vector<BpeMerge> merges) {
  Bpe::Tables tables;
  for (std::uint32_t byte = 0; byte < 256; ++byte) tables.byte_ids[byte] = byte;
  tables.merges = std::move(merges);
  return tables;
}

Ids encode(const Bpe& bpe, const std::vector<std::string>& pieces) {
  Ids ids;
  BpeEncoder encoder(bpe, ids);
  for (const std::string& piece : pieces) encoder.append(piece);
  return ids;
}

TEST(Bpe, AppliesTheLowestRankFirst) {
  const Bpe ab_first(byte_tables({{'a', 'b', 256}, {'b', 'c', 257}, {256, 'c', 258}}));
  EXPECT_THAT(encode(ab_first, {"abc"}), ElementsAre(258));
  EXPECT_THAT(encode(ab_first, {"bcab"}), ElementsAre(257, 256));
  const Bpe bc_first(byte_tables({{'b', 'c', 257}, {'a', 'b', 256}, {256, 'c', 258}}));
  EXPECT_THAT(encode(bc_first, {"abc"}), ElementsAre('a', 257));
}

TEST(Bpe, MergesEqualRanksFromTheLeft) {
  const Bpe bpe(byte_tables({{'a', 'a', 256}, {256, 256, 257}}));
  EXPECT_THAT(encode(bpe, {"a"}), ElementsAre('a'));
  EXPECT_THAT(encode(bpe, {"aaa"}), ElementsAre(256, 'a'));
  EXPECT_THAT(encode(bpe, {"aaaaaaa"}), ElementsAre(257, 256, 'a'));
}

TEST(Bpe, TakesWholePiecesAsTheyAre) {
  Bpe::Tables tables = byte_tables({{'a', 'b', 256}});
  tables.whole_pieces = {{"abc", 300}};
  const Bpe bpe(std::move(tables));
  EXPECT_THAT(encode(bpe, {"abc", "abcd", "ab"}), ElementsAre(300, 256, 'c', 'd', 256));
}

TEST(Bpe, GivesARepeatedPieceTheSameIds) {
  const Bpe bpe(byte_tables({{'a', 'b', 256}}));
  EXPECT_THAT(encode(bpe, {"abx", "y", "abx", "abx"}),
              ElementsAre(256, 'x', 'y', 256, 'x', 256, 'x'));
}

TEST(Bpe, ReadsBytesAsUnsigned) {
  const Bpe bpe(byte_tables({{0xC3, 0xA9, 256}}));
  EXPECT_THAT(encode(bpe, {"\xC3\xA9\xC3"}), ElementsAre(256, 0xC3));
}

/// By the definition: find the lowest rank, merge its leftmost pair, start over.
Ids encode_naively(const std::vector<BpeMerge>& merges, const std::string& piece) {
  Ids ids(piece.begin(), piece.end());
  for (std::size_t rank = 0; rank < merges.size();) {
    std::size_t i = 0;
    while (i + 1 < ids.size() && !(ids[i] == merges[rank].left && ids[i + 1] == merges[rank].right))
      ++i;
    if (i + 1 >= ids.size()) {
      ++rank;
      continue;
    }
    ids[i] = merges[rank].merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    rank = 0;
  }
  return ids;
}

TEST(Bpe, AgreesWithTheDefinitionOnRandomMerges) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::uint32_t> tokens = {'a', 'b', 'c'};
    std::vector<BpeMerge> merges;
    for (std::uint32_t id = 256; id < 276; ++id) {
      const BpeMerge merge{tokens[random() % tokens.size()], tokens[random() % tokens.size()], id};
      const bool is_new = std::none_of(merges.begin(), merges.end(), [&](const BpeMerge& other) {
        return other.left == merge.left && other.right == merge.right;
      });
      if (!is_new) continue;
      merges.push_back(merge);
      tokens.push_back(id);
    }
    std::string piece;
    for (int i = 0; i < 60; ++i) piece.push_back(static_cast<char>('a' + random() % 3));
    EXPECT_EQ(encode(Bpe(byte_tables(merges)), {piece}), encode_naively(merges, piece)) << piece;
  }
}

}  // namespace
}  // namespace fp8cal
