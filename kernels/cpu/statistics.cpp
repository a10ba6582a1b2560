#include "kernels/cpu/statistics.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "kernels/checks.hpp"

namespace fp8cal {
namespace {

/// Columns handled at a time: they are read for the maxima, then for the histogram from the first
/// cache.
constexpr std::size_t kColumns = 4096;

/// bf16 magnitude bits as the bits of a float.
std::uint32_t float_bits(std::uint16_t magnitude) {
  return static_cast<std::uint32_t>(magnitude) << 16;
}

/// What one thread counts over its rows.
struct Partial {
  std::vector<std::uint32_t> histogram;     // [kHistogramBins]
  std::vector<std::uint16_t> channel_amax;  // [x.cols]
};

template <class Counter>
void count_magnitudes(const std::uint16_t* x, std::size_t count, Counter* histogram) {
  for (std::size_t i = 0; i < count; ++i) ++histogram[x[i] & 0x7FFF];
}

/// Returns the row's largest magnitude.
template <class Counter>
std::uint16_t observe_row(const VectorKernels& kernels, const std::uint16_t* row, std::size_t cols,
                          Counter* histogram, std::uint16_t* channel_amax) {
  std::uint16_t largest = 0;
  for (std::size_t c = 0; c < cols; c += kColumns) {
    const std::size_t count = std::min(kColumns, cols - c);
    largest = std::max(largest, kernels.raise_magnitudes(row + c, count, channel_amax + c));
    count_magnitudes(row + c, count, histogram);
  }
  return largest;
}

void raise_channels(const std::vector<std::uint16_t>& from, std::uint32_t* channel_amax) {
  for (std::size_t c = 0; c < from.size(); ++c) {
    channel_amax[c] = std::max(channel_amax[c], float_bits(from[c]));
  }
}

/// Fewer elements than bins: clearing and adding up a histogram of its own would take longer than
/// counting.
void observe_few(const CpuContext& context, const ConstMatrix& x, std::uint16_t* row_amax,
                 const Observation& into) {
  std::vector<std::uint16_t> channel_amax(x.cols);
  for (std::size_t r = 0; r < x.rows; ++r) {
    row_amax[r] = observe_row(context.kernels, x.row<std::uint16_t>(r), x.cols, into.histogram,
                              channel_amax.data());
  }
  raise_channels(channel_amax, into.channel_amax);
}

/// At most 2^32 - 1 elements, so that no counter of a thread overflows.
void observe_many(const CpuContext& context, const ConstMatrix& x, std::uint16_t* row_amax,
                  const Observation& into) {
  std::vector<Partial> partials(std::min(context.pool.threads(), x.rows));
  const std::size_t count = partials.size();
  context.pool.parallel_for(count, x.rows * x.cols / count, [&](std::size_t i) {
    Partial& partial = partials[i];
    partial.histogram.resize(kHistogramBins);
    partial.channel_amax.resize(x.cols);
    for (std::size_t r = x.rows * i / count; r < x.rows * (i + 1) / count; ++r) {
      row_amax[r] = observe_row(context.kernels, x.row<std::uint16_t>(r), x.cols,
                                partial.histogram.data(), partial.channel_amax.data());
    }
  });
  for (const Partial& partial : partials) {
    for (std::size_t b = 0; b < kHistogramBins; ++b) into.histogram[b] += partial.histogram[b];
    raise_channels(partial.channel_amax, into.channel_amax);
  }
}

}  // namespace

void cpu_row_amax(const CpuContext& context, ConstMatrix x, std::uint32_t* amax) {
  expect_matrix("row_amax: x", x, x.rows, x.cols);
  context.pool.parallel_ranges(x.rows, x.cols / 4 + 1, [&](std::size_t first, std::size_t last) {
    for (std::size_t r = first; r < last; ++r) {
      amax[r] = float_bits(context.kernels.magnitude(x.row<std::uint16_t>(r), x.cols));
    }
  });
}

void cpu_observe(const CpuContext& context, ConstMatrix x, std::size_t first_row,
                 std::size_t sequence_length, const Observation& into) {
  expect_matrix("observe: x", x, x.rows, x.cols);
  if (x.rows == 0 || x.cols == 0) return;
  if (sequence_length == 0) {
    throw std::invalid_argument("observe: sequence_length: expected at least 1, found 0");
  }
  std::vector<std::uint16_t> row_amax(x.rows);
  const std::size_t most_rows =
      std::max<std::size_t>(1, std::numeric_limits<std::uint32_t>::max() / x.cols);
  for (std::size_t first = 0; first < x.rows; first += most_rows) {
    ConstMatrix part = x;
    part.data = x.row<std::uint16_t>(first);
    part.rows = std::min(most_rows, x.rows - first);
    const bool few = part.rows * part.cols < kHistogramBins;
    (few ? observe_few : observe_many)(context, part, row_amax.data() + first, into);
  }
  for (std::size_t r = 0; r < x.rows; ++r) {
    std::uint32_t& amax = into.sequence_amax[(first_row + r) / sequence_length];
    amax = std::max(amax, float_bits(row_amax[r]));
  }
}

}  // namespace fp8cal
