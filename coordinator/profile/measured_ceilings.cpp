#include "coordinator/profile/measured_ceilings.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "jobs/random.hpp"
#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMebibyte = 1 << 20;
constexpr std::size_t kCols = 16384;  // of the matrix that is read
constexpr std::size_t kRowBytes = kCols * size_of(DType::bf16);
constexpr int kRuns = 8;

/// How large operands are.
struct Sizes {
  std::size_t read_bytes;
  std::size_t edge;  // of the square matrices of a product
  std::size_t gathered_bytes;
};

/// Within half of `most` bytes of device memory.
Sizes sizes_for(const Backend& backend, std::uint64_t most) {
  Sizes sizes = {2048 * kMebibyte, 8192, 64 * kMebibyte};
  if (backend.name() == "cpu") sizes = {64 * kMebibyte, 512, kMebibyte};
  sizes.read_bytes = std::max(
      kRowBytes, std::min<std::uint64_t>(sizes.read_bytes, most / 2) / kRowBytes * kRowBytes);
  while (sizes.edge > 64 && 5 * sizes.edge * sizes.edge > most / 2) sizes.edge /= 2;
  return sizes;
}

double least_seconds(Backend& backend, const std::function<void()>& call) {
  double least = std::numeric_limits<double>::infinity();
  for (int run = 0; run <= kRuns; ++run) {  // the first one warms up
    backend.mark(0);
    call();
    backend.mark(1);
    const double seconds = backend.seconds_between(0, 1);
    if (run > 0) least = std::min(least, seconds);
  }
  return least;
}

/// Numbers in [-1, 1), a few thousand of them over and over: power, and so the clock of a GPU,
/// depends on the bits that it moves.
Buffer random_numbers(Backend& backend, std::size_t bytes) {
  std::mt19937_64 generator(1);
  std::vector<std::uint16_t> numbers(kMebibyte / 2);
  for (std::uint16_t& one : numbers) {
    one = float_to_bf16(static_cast<float>(draw_below(4096, generator)) / 2048.0f - 1.0f);
  }
  Buffer buffer = backend.allocate(bytes);
  for (std::size_t at = 0; at < bytes; at += kMebibyte) {
    backend.upload(buffer.as<std::byte>() + at, numbers.data(), std::min(kMebibyte, bytes - at));
  }
  backend.synchronize();
  return buffer;
}

double read_rate(Backend& backend, std::size_t bytes) {
  const std::size_t rows = bytes / kRowBytes;
  const Buffer numbers = random_numbers(backend, bytes);
  const Buffer amax = backend.allocate(rows * sizeof(std::uint32_t));
  const Matrix x = Matrix::dense(numbers.data(), DType::bf16, rows, kCols);
  const double seconds =
      least_seconds(backend, [&] { backend.row_amax(x, amax.as<std::uint32_t>()); });
  return static_cast<double>(bytes) / seconds;
}

/// Of BF16 products, then of FP8 ones.
std::pair<double, double> product_rates(Backend& backend, std::size_t edge) {
  const std::size_t elements = edge * edge;
  const double flop = 2.0 * static_cast<double>(elements) * static_cast<double>(edge);
  const Buffer numbers = random_numbers(backend, elements * size_of(DType::bf16));
  const Buffer result = backend.allocate(elements * size_of(DType::bf16));
  const Matrix x = Matrix::dense(numbers.data(), DType::bf16, edge, edge);
  const Matrix out = Matrix::dense(result.data(), DType::bf16, edge, edge);
  const double wide = flop / least_seconds(backend, [&] { backend.multiply(x, x, out); });
  if (backend.fp8_products() == Fp8Products::dequantized) return {wide, 0};

  const Buffer one = backend.allocate(sizeof(float)), narrow_codes = backend.allocate(elements);
  const float scale = 1.0f / 64;
  backend.upload(one.data(), &scale, sizeof scale);
  const Scales scales = {one.as<float>(), 1};
  const Matrix codes = Matrix::dense(narrow_codes.data(), DType::e4m3, edge, edge);
  backend.quantize(x, scales, codes);
  const double narrow = flop / least_seconds(backend, [&] {
                          backend.multiply_scaled(codes, scales, codes, scales, out);
                        });
  return {wide, narrow};
}

double gather_rate(Backend& backend, Collectives& slices, std::size_t bytes) {
  if (slices.size() == 1) return 0;
  const auto parts = static_cast<std::size_t>(slices.size());
  const Buffer sent = random_numbers(backend, bytes), received = backend.allocate(bytes * parts);
  const double seconds =
      least_seconds(backend, [&] { slices.all_gather(sent.data(), received.data(), bytes); });
  return static_cast<double>(bytes * (parts - 1)) / seconds;
}

}  // namespace

Ceilings measure_ceilings(Backend& backend, Collectives& slices, std::uint64_t most) {
  const Sizes sizes = sizes_for(backend, most);
  Ceilings ceilings;
  ceilings.bytes_per_s = read_rate(backend, sizes.read_bytes);
  std::tie(ceilings.bf16_flop_per_s, ceilings.fp8_flop_per_s) = product_rates(backend, sizes.edge);
  ceilings.gather_bytes_per_s = gather_rate(backend, slices, sizes.gathered_bytes);
  return ceilings;
}

}  // namespace fp8cal
