#include <gtest/gtest.h>

#include <numeric>

#include "gpu_test.hpp"

namespace fp8cal {
namespace {

struct Statistics {
  std::vector<std::uint64_t> histogram;
  std::vector<std::uint32_t> channel_amax;
  std::vector<std::uint32_t> sequence_amax;

  bool operator==(const Statistics&) const = default;
};

/// What there is before, not zeros: observing adds.
Statistics initial(std::size_t cols, std::size_t sequences) {
  Statistics statistics{std::vector<std::uint64_t>(kHistogramBins),
                        std::vector<std::uint32_t>(cols), std::vector<std::uint32_t>(sequences)};
  std::iota(statistics.histogram.begin(), statistics.histogram.end(), 0xFFFFFF00ull);
  for (std::size_t c = 0; c < cols; c += 3) statistics.channel_amax[c] = 0x40000000u;
  return statistics;
}

struct Case {
  std::size_t rows, cols, gap, first_row, length;
};

class CudaStatistics : public BothBackends {
 protected:
  static Statistics observed(Backend& backend, const TestMatrix& x, const Case& c) {
    const std::size_t sequences = (c.first_row + c.rows) / c.length + 1;
    const Statistics before = initial(c.cols, sequences);
    const DeviceCopy own_x(backend, x);
    const DeviceArray<std::uint64_t> histogram(backend, before.histogram);
    const DeviceArray<std::uint32_t> channels(backend, before.channel_amax);
    const DeviceArray<std::uint32_t> by_sequence(backend, before.sequence_amax);
    const Observation into{histogram.data(), channels.data(), by_sequence.data()};
    backend.observe(own_x, c.first_row, c.length, into);
    backend.observe(own_x.view().row_range(0, c.rows / 2), c.first_row, c.length, into);
    return {histogram.values(), channels.values(), by_sequence.values()};
  }

  void expect_equal(const TestMatrix& x, const Case& c) {
    const Statistics found = observed(*cuda_, x, c), expected = observed(*cpu_, x, c);
    const std::string what = std::to_string(c.rows) + " x " + std::to_string(c.cols) + " + " +
                             std::to_string(c.gap) + ", sequences of " + std::to_string(c.length);
    EXPECT_TRUE(found.histogram == expected.histogram) << what;
    EXPECT_TRUE(found.channel_amax == expected.channel_amax) << what;
    EXPECT_EQ(found.sequence_amax, expected.sequence_amax) << what;
  }
};

TEST_F(CudaStatistics, ObserveEqualsTheCpu) {
  const Case cases[] = {{0, 4, 0, 0, 1},       {1, 1, 0, 0, 1},        {3, 0, 0, 0, 1},
                        {1, 17, 3, 9, 5},      {13, 31, 3, 3, 4},      {64, 1024, 0, 0, 16},
                        {37, 5003, 5, 5, 7},   {2, 100000, 0, 0, 2},   {15, 512, 8, 0, 1},
                        {17, 513, 7, 0, 4},    {1000, 520, 0, 100, 1}, {4096, 4096, 0, 0, 2048},
                        {777, 1536, 1, 2, 70}, {50001, 8, 0, 0, 1000}, {3001, 1032, 8, 4095, 2048}};
  for (const Case& c : cases) expect_equal(random_bf16(c.rows, c.cols, 1, c.gap), c);
}

TEST_F(CudaStatistics, ObserveConstantsAndEveryBitPattern) {
  TestMatrix all(DType::bf16, 64, 0x8000);
  for (std::size_t r = 0; r < 64; ++r) {
    for (std::size_t c = 0; c < 0x8000; ++c) all.bits(r, c) = (r % 2 << 15) + (c * 5 + r) % 0x8000;
  }
  expect_equal(all, {64, 0x8000, 0, 0, 3});
  for (const bf16_bits bits : {0x0000, 0x8000, 0x3F80, 0xFFFF, 0x7F80}) {
    TestMatrix same(DType::bf16, 500, 700);
    for (std::size_t r = 0; r < 500; ++r) {
      for (std::size_t c = 0; c < 700; ++c) same.bits(r, c) = bits;
    }
    expect_equal(same, {500, 700, 0, 0, 100});
  }
}

TEST_F(CudaStatistics, ObserveRefusesSequencesOfNoLength) {
  const TestMatrix x(DType::bf16, 2, 2);
  EXPECT_EQ(shape_error([&] { cuda_->observe(x, 0, 0, {}); }),
            "observe: sequence_length: expected at least 1, found 0");
}

TEST_F(CudaStatistics, RowAmaxEqualsTheCpu) {
  for (const TestSize& size : kTestSizes) {
    TestMatrix x = random_bf16(size.rows, size.cols, 4, size.gap);
    if (size.rows > 3 && size.cols > 0) x.bits(3, size.cols - 1) = 0xFFC1;
    std::vector<std::vector<std::uint32_t>> amax;
    for (Backend* backend : {cuda_.get(), cpu_.get()}) {
      const DeviceCopy own(*backend, x);
      const DeviceArray<std::uint32_t> found(
          *backend, std::vector<std::uint32_t>(size.rows + 1, 0xABABABABu));
      backend->row_amax(own, found.data());
      amax.push_back(found.values());
    }
    EXPECT_TRUE(amax[0] == amax[1]) << size.to_string();
  }
}

}  // namespace
}  // namespace fp8cal
