#include "coordinator/profile/ceilings.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <vector>

namespace fp8cal {
namespace {

constexpr std::size_t kReadColumns = 8192;

std::uint64_t square(std::size_t n) { return static_cast<std::uint64_t>(n) * n; }

/// Seconds of the fastest of `runs`.
double best_of(Backend& backend, std::size_t runs, const std::function<void()>& run) {
  double best = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < runs; ++i) {
    backend.mark(0);
    run();
    backend.mark(1);
    best = std::min(best, backend.seconds_between(0, 1));
  }
  return best;
}

/// Random numbers below 2 in magnitude, bf16 and e4m3 alike: what a multiplier is fed with decides
/// how fast a GPU's clock runs.
void fill_random(Backend& backend, const Buffer& buffer) {
  std::mt19937_64 generator(1);
  std::vector<std::uint64_t> block(std::size_t{1} << 17);
  for (std::uint64_t& one : block) one = generator() & 0xBFBFBFBFBFBFBFBF;
  for (std::size_t at = 0; at < buffer.bytes(); at += block.size() * sizeof(std::uint64_t)) {
    backend.upload(buffer.as<std::byte>() + at, block.data(),
                   std::min(block.size() * sizeof(std::uint64_t), buffer.bytes() - at));
  }
  backend.synchronize();
}

double read_speed(Backend& backend, const CeilingSizes& sizes) {
  const std::size_t rows = sizes.read_bytes / (kReadColumns * size_of(DType::bf16));
  const Buffer matrix = backend.allocate(sizes.read_bytes);
  const Buffer amax = backend.allocate(rows * sizeof(std::uint32_t));
  fill_random(backend, matrix);
  const double seconds = best_of(backend, sizes.runs, [&] {
    backend.row_amax(Matrix::dense(matrix.data(), DType::bf16, rows, kReadColumns),
                     amax.as<std::uint32_t>());
  });
  return static_cast<double>(sizes.read_bytes) / seconds;
}

/// dtype: of both operands.
double product_speed(Backend& backend, const CeilingSizes& sizes, DType dtype) {
  const std::size_t n = sizes.product;
  const Buffer x = backend.allocate(square(n) * size_of(dtype));
  const Buffer weight = backend.allocate(square(n) * size_of(dtype));
  const Buffer out = backend.allocate(square(n) * size_of(DType::bf16));
  const Buffer scale = backend.allocate(sizeof(float));
  const float one = 1;
  backend.upload(scale.data(), &one, sizeof one);
  fill_random(backend, x);
  fill_random(backend, weight);
  const auto view = [&](const Buffer& buffer, DType of) {
    return Matrix::dense(buffer.data(), of, n, n);
  };
  const Scales scales = {scale.as<float>(), 1};
  const double seconds = best_of(backend, sizes.runs, [&] {
    if (dtype == DType::bf16) {
      backend.multiply(view(x, dtype), view(weight, dtype), view(out, DType::bf16));
    } else {
      backend.multiply_scaled(view(x, dtype), scales, view(weight, dtype), scales,
                              view(out, DType::bf16));
    }
  });
  return 2.0 * static_cast<double>(square(n)) * static_cast<double>(n) / seconds;
}

double gather_speed(Backend& backend, Collectives& slices, const CeilingSizes& sizes) {
  if (slices.size() == 1) return 0;
  const std::uint64_t ranks = static_cast<std::uint64_t>(slices.size());
  const Buffer sent = backend.allocate(sizes.gather_bytes);
  const Buffer received = backend.allocate(ranks * sizes.gather_bytes);
  backend.fill_zero(sent.data(), sent.bytes());
  const double seconds = best_of(backend, sizes.runs, [&] {
    slices.all_gather(sent.data(), received.data(), sizes.gather_bytes);
  });
  return static_cast<double>((ranks - 1) * sizes.gather_bytes) / seconds;
}

}  // namespace

std::uint64_t CeilingSizes::bytes(int ranks) const {
  const std::uint64_t reading = read_bytes + read_bytes / kReadColumns * sizeof(std::uint32_t);
  const std::uint64_t products = 3 * square(product) * size_of(DType::bf16) + sizeof(float);
  const std::uint64_t gathers = (1 + static_cast<std::uint64_t>(ranks)) * gather_bytes;
  return std::max({reading, products, ranks > 1 ? gathers : 0});
}

CeilingSizes ceiling_sizes(const Backend& backend, std::uint64_t budget) {
  constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
  // A GPU's products are searched for their fastest algorithm once they have run some dozen times.
  CeilingSizes sizes = backend.name() == "cuda"
                           ? CeilingSizes{2048 * kMebibyte, 8192, 16 * kMebibyte, 60}
                           : CeilingSizes{64 * kMebibyte, 512, kMebibyte, 5};
  const std::uint64_t row = kReadColumns * size_of(DType::bf16);
  while (sizes.read_bytes > row && sizes.bytes(1) > budget / 4) {
    sizes.read_bytes /= 2;
    if (sizes.product > 64) sizes.product /= 2;
  }
  return sizes;
}

Ceilings measure_ceilings(Backend& backend, Collectives& slices, const CeilingSizes& sizes) {
  Ceilings ceilings;
  ceilings.bytes_per_s = read_speed(backend, sizes);
  ceilings.bf16_flop_per_s = product_speed(backend, sizes, DType::bf16);
  if (backend.fp8_products() == Fp8Products::native) {
    ceilings.fp8_flop_per_s = product_speed(backend, sizes, DType::e4m3);
  }
  ceilings.gather_bytes_per_s = gather_speed(backend, slices, sizes);
  return ceilings;
}

}  // namespace fp8cal
