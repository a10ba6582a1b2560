#include "worker/shard_loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

static_assert(kDigestRows == kRowBlock, "shards begin at multiples of the digest's row blocks");

constexpr std::size_t kStagingBytes = std::size_t{64} << 20;

}  // namespace

ShardLoader::ShardLoader(const Checkpoint& checkpoint, Backend& backend, const Plan& plan,
                         const RankPlan& rank)
    : checkpoint_(checkpoint), backend_(backend), shares_(plan.grid.sequences), rank_(rank) {}

std::vector<float> ShardLoader::load(const WeightShard& shard, Matrix into) {
  checkpoint_.expect(shard.name, shard.shape);
  const std::size_t row_bytes = shard.cols() * sizeof(std::uint16_t);
  const std::size_t blocks = std::max<std::size_t>(1, kStagingBytes / (row_bytes * kDigestRows));
  std::vector<std::uint16_t> staged;
  for (std::size_t row = 0; row < shard.rows.count; row += blocks * kDigestRows) {
    const std::size_t rows = std::min(blocks * kDigestRows, shard.rows.count - row);
    staged.resize(rows * shard.cols());
    checkpoint_.read_rows(shard.name, shard.rows.first + row, rows, staged);
    hash(shard, shard.rows.first + row, rows, staged);
    backend_.upload(into.row_range(row, rows).data, staged.data(), rows * row_bytes);
    backend_.synchronize();
  }

  Buffer bits = backend_.allocate(shard.rows.count * sizeof(std::uint32_t));
  backend_.row_amax(into, bits.as<std::uint32_t>());
  std::vector<float> amax(shard.rows.count);
  backend_.download(amax.data(), bits.data(), bits.bytes());  // the bits of a float are that float
  for (std::size_t row = 0; row < amax.size(); ++row) {
    if (std::isfinite(amax[row])) continue;
    throw InputError("tensor " + shard.name, fmt::format("row {}", shard.rows.first + row),
                     "finite weights", fmt::format("{}", amax[row]));
  }
  return amax;
}

void ShardLoader::hash(const WeightShard& shard, std::size_t first_row, std::size_t rows,
                       const std::vector<std::uint16_t>& staged) {
  if (shard.replicated && rank_.slice != 0) return;
  TensorLeaves& tensor = leaves_[shard.name];
  tensor.shape = shard.shape;
  for (std::size_t row = 0; row < rows; row += kDigestRows) {
    const std::size_t leaf = (first_row + row) / kDigestRows;
    if (leaf % static_cast<std::size_t>(shares_) != static_cast<std::size_t>(rank_.share)) continue;
    const std::size_t count = std::min(kDigestRows, rows - row);
    const auto values = std::span(staged).subspan(row * shard.cols(), count * shard.cols());
    tensor.leaves[leaf] = sha256(std::as_bytes(values));
  }
}

}  // namespace fp8cal
