#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

struct Statistics {
  Statistics(std::size_t cols, std::size_t sequences)
      : histogram(kHistogramBins), channel_amax(cols), sequence_amax(sequences) {}

  Observation view() { return {histogram.data(), channel_amax.data(), sequence_amax.data()}; }
  bool operator==(const Statistics&) const = default;

  std::vector<std::uint64_t> histogram;
  std::vector<std::uint32_t> channel_amax;
  std::vector<std::uint32_t> sequence_amax;
};

void observe_naively(const TestMatrix& x, std::size_t first_row, std::size_t length,
                     Statistics& into) {
  for (std::size_t r = 0; r < x.view().rows; ++r) {
    for (std::size_t c = 0; c < x.view().cols; ++c) {
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(std::fabs(x.value(r, c)));
      ++into.histogram[bits >> 16];
      into.channel_amax[c] = std::max(into.channel_amax[c], bits);
      std::uint32_t& sequence = into.sequence_amax[(first_row + r) / length];
      sequence = std::max(sequence, bits);
    }
  }
}

struct Case {
  std::size_t rows, cols, first_row, length;
};

TEST(CpuObserve, EqualsTheNaiveCountAndAddsToWhatIsThere) {
  const Case cases[] = {{0, 4, 0, 1},   {1, 1, 0, 1},      {3, 0, 0, 1},     {1, 17, 9, 5},
                        {13, 31, 3, 4}, {64, 1024, 0, 16}, {37, 5003, 5, 7}, {2, 100000, 0, 2}};
  for (const auto& [name, backend] : all_cpu_backends()) {
    for (const Case& c : cases) {
      const std::size_t sequences = (c.first_row + c.rows) / c.length + 1;
      Statistics expected(c.cols, sequences), found(c.cols, sequences);
      for (unsigned seed = 1; seed <= 2; ++seed) {
        const TestMatrix x = random_bf16(c.rows, c.cols, seed, 3);
        observe_naively(x, c.first_row, c.length, expected);
        backend->observe(x, c.first_row, c.length, found.view());
      }
      EXPECT_TRUE(found == expected) << name << " " << c.rows << " x " << c.cols;
    }
  }
}

TEST(CpuObserve, CountsEveryBitPatternAndOrdersNanAboveAll) {
  TestMatrix x(DType::bf16, 2, 0x8000);
  for (int bits = 0; bits < 0x10000; ++bits) x.bits(bits >> 15, bits & 0x7FFF) = bits;
  for (const auto& [name, backend] : all_cpu_backends()) {
    Statistics found(0x8000, 2);
    backend->observe(x, 0, 1, found.view());
    for (std::size_t b = 0; b < kHistogramBins; ++b) {
      ASSERT_EQ(found.histogram[b], 2u) << name << " " << b;
      ASSERT_EQ(found.channel_amax[b], b << 16) << name;
    }
    EXPECT_EQ(found.sequence_amax, (std::vector<std::uint32_t>{0x7FFF0000u, 0x7FFF0000u}));
  }
}

TEST(CpuObserve, HandChecked) {
  const TestMatrix x = bf16_matrix({{1, -2}, {0.5f, 1}, {-4, 0}});
  Statistics found(2, 2);
  make_cpu_backend(1)->observe(x, 1, 2, found.view());
  EXPECT_EQ(found.histogram[0x3F80], 2u);  // 1.0
  EXPECT_EQ(found.histogram[0x4000], 1u);  // 2.0
  EXPECT_EQ(found.histogram[0], 1u);
  EXPECT_EQ(std::bit_cast<float>(found.channel_amax[0]), 4.0f);
  EXPECT_EQ(std::bit_cast<float>(found.channel_amax[1]), 2.0f);
  EXPECT_EQ(std::bit_cast<float>(found.sequence_amax[0]), 2.0f);
  EXPECT_EQ(std::bit_cast<float>(found.sequence_amax[1]), 4.0f);
  EXPECT_EQ(shape_error([&] { make_cpu_backend(1)->observe(x, 1, 0, found.view()); }),
            "observe: sequence_length: expected at least 1, found 0");
}

TEST(CpuRowAmax, EqualsTheNaiveMaximum) {
  for (const auto& [name, backend] : all_cpu_backends()) {
    for (const std::size_t cols : {0, 1, 15, 64, 5001}) {
      TestMatrix x = random_bf16(101, cols, 4, 1);
      if (cols > 0) x.bits(3, cols - 1) = 0xFFC1;
      std::vector<std::uint32_t> found(101, 0xABABABABu);
      backend->row_amax(x, found.data());
      for (std::size_t r = 0; r < 101; ++r) {
        std::uint32_t expected = 0;
        for (std::size_t c = 0; c < cols; ++c) {
          expected = std::max(expected, std::uint32_t{x.bits(r, c) & 0x7FFFu} << 16);
        }
        ASSERT_EQ(found[r], expected) << name << " " << cols;
      }
    }
  }
}

}  // namespace
}  // namespace fp8cal
