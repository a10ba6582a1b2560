#include "kernels/cuda/product_blocks.hpp"

#include <gtest/gtest.h>

namespace fp8cal {
namespace {

constexpr std::size_t kBytes = std::size_t{256} << 20;

/// Runs follow one another from 0 to total, start at multiples of 16, none above `longest`.
void expect_whole(const EvenRuns& runs, std::size_t total, std::size_t longest) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < runs.count(); ++i) {
    EXPECT_EQ(runs[i].first, next);
    EXPECT_EQ(runs[i].first % 16, 0u);
    EXPECT_GT(runs[i].count, 0u);
    EXPECT_LE(runs[i].count, runs.longest());
    next += runs[i].count;
  }
  EXPECT_EQ(next, total);
  EXPECT_LE(runs.longest(), longest);
}

TEST(EvenRuns, CoverEverythingOnce) {
  for (const std::size_t total : {0, 1, 15, 16, 17, 1023, 1024, 1025, 5000, 128256}) {
    for (const std::size_t longest : {16, 17, 48, 1024, 100000}) {
      expect_whole(EvenRuns(total, longest), total, longest);
    }
  }
}

TEST(EvenRuns, HandChecked) {
  const EvenRuns runs(1025, 1024);  // 65 units of 16, the last of one row
  ASSERT_EQ(runs.count(), 2u);
  EXPECT_EQ(runs[0].count, 512u);
  EXPECT_EQ(runs[1].first, 512u);
  EXPECT_EQ(runs[1].count, 513u);
  EXPECT_EQ(EvenRuns(1024, 1024).count(), 1u);
}

TEST(ProductBlocks, FitTheirScratch) {
  for (const std::size_t depth : {1, 16, 65, 4096, 28672, 53248, 4000000}) {
    for (const std::size_t rows : {1, 17, 8192, 100000}) {
      for (const std::size_t columns : {1, 33, 6144, 57344}) {
        const ProductBlocks blocks = ProductBlocks::within(kBytes, rows, columns, depth);
        expect_whole(blocks.rows, rows, rows);
        expect_whole(blocks.columns, columns, ProductBlocks::kMostColumns);
        EXPECT_LE(blocks.bytes, kBytes) << rows << " x " << columns << " x " << depth;
        EXPECT_GE(blocks.weight_at, blocks.rows.longest() * blocks.stride * 2);
        EXPECT_GE(blocks.sums_at, blocks.weight_at + blocks.columns.longest() * blocks.stride * 2);
        EXPECT_GE(blocks.stride, depth);
        EXPECT_GE(blocks.sums_stride, blocks.columns.longest());
        EXPECT_EQ(blocks.weight_at % 256 + blocks.sums_at % 256, 0u);
      }
    }
  }
}

TEST(ProductBlocks, CutAsSeldomAsTheyCan) {
  const ProductBlocks qkv = ProductBlocks::within(kBytes, 8192, 6144, 4096);
  EXPECT_EQ(qkv.rows.count(), 1u);
  EXPECT_EQ(qkv.columns.count(), 6u);
  const ProductBlocks down = ProductBlocks::within(kBytes, 8192, 4096, 14336);
  EXPECT_EQ(down.rows.count(), 2u);
  EXPECT_EQ(down.columns.count(), 4u);
}

TEST(ProductBlocks, RefuseRowsBeyondTheirScratch) {
  EXPECT_THROW(ProductBlocks::within(1 << 20, 16, 16, 1 << 20), std::invalid_argument);
}

}  // namespace
}  // namespace fp8cal
