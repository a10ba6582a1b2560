#include "worker/row_maxima.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

void check_finite(const WeightShard& shard, const std::vector<float>& amax) {
  for (std::size_t row = 0; row < amax.size(); ++row) {
    if (std::isfinite(amax[row])) continue;
    throw InputError("tensor " + shard.name, fmt::format("row {}", shard.rows.first + row),
                     "finite weights", fmt::format("{}", amax[row]));
  }
}

}  // namespace

std::vector<std::vector<float>> row_maxima(Backend& backend, std::span<const ShardTarget> weights) {
  std::size_t rows = 0;
  for (const ShardTarget& weight : weights) rows += weight.shard.rows.count;
  Buffer bits = backend.allocate(rows * sizeof(std::uint32_t));
  std::uint32_t* at = bits.as<std::uint32_t>();
  for (const ShardTarget& weight : weights) {
    backend.row_amax(weight.into, at);
    at += weight.shard.rows.count;
  }
  std::vector<float> all(rows);  // the bits of a float are that float
  backend.download(all.data(), bits.data(), bits.bytes());

  std::vector<std::vector<float>> maxima;
  auto first = all.begin();
  for (const ShardTarget& weight : weights) {
    const auto end = first + static_cast<std::ptrdiff_t>(weight.shard.rows.count);
    maxima.emplace_back(first, end);
    check_finite(weight.shard, maxima.back());
    first = end;
  }
  return maxima;
}

}  // namespace fp8cal
