#pragma once

#include <cstdint>
#include <random>

namespace fp8cal {

/// Each of 0, ..., bound - 1 with equal probability, the same on every machine: takes x from the
/// generator, again while x < 2^64 mod bound; gives x mod bound. bound > 0.
inline std::uint64_t draw_below(std::uint64_t bound, std::mt19937_64& generator) {
  const std::uint64_t surplus = -bound % bound;  // 2^64 mod bound
  std::uint64_t x = generator();
  while (x < surplus) x = generator();
  return x % bound;
}

}  // namespace fp8cal
