#include "worker/shard_loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

static_assert(kDigestRows == kRowBlock, "shards begin at multiples of the digest's row blocks");

constexpr std::size_t kStagingBytes = std::size_t{64} << 20;

}  // namespace

ShardLoader::ShardLoader(const Checkpoint& checkpoint, Backend& backend, const Plan& plan,
                         const RankPlan& rank, int threads)
    : checkpoint_(checkpoint),
      backend_(backend),
      shares_(plan.grid.sequences),
      rank_(rank),
      pool_(threads) {}

std::vector<float> ShardLoader::load(const WeightShard& shard, Matrix into) {
  checkpoint_.expect(shard.name, shard.shape);
  const std::size_t row_bytes = shard.cols() * sizeof(std::uint16_t);
  const std::size_t blocks = std::max<std::size_t>(1, kStagingBytes / (row_bytes * kDigestRows));
  std::vector<std::uint16_t> staged;
  for (std::size_t row = 0; row < shard.rows.count; row += blocks * kDigestRows) {
    const std::size_t rows = std::min(blocks * kDigestRows, shard.rows.count - row);
    staged.resize(rows * shard.cols());
    read(shard, shard.rows.first + row, rows, staged);
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

void ShardLoader::read(const WeightShard& shard, std::size_t first_row, std::size_t rows,
                       std::span<std::uint16_t> staged) {
  const std::size_t blocks = (rows + kDigestRows - 1) / kDigestRows;
  std::vector<Sha256Digest> digests(blocks);
  const std::size_t nanoseconds = kDigestRows * shard.cols();  // about one an element
  pool_.parallel_for(blocks, nanoseconds, [&](std::size_t block) {
    const std::size_t row = block * kDigestRows;
    const std::size_t count = std::min(kDigestRows, rows - row);
    const auto values = staged.subspan(row * shard.cols(), count * shard.cols());
    checkpoint_.read_rows(shard.name, first_row + row, count, values);
    if (hashes(shard, first_row / kDigestRows + block)) {
      digests[block] = sha256(std::as_bytes(values));
    }
  });
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t leaf = first_row / kDigestRows + block;
    if (!hashes(shard, leaf)) continue;
    TensorLeaves& tensor = leaves_[shard.name];
    tensor.shape = shard.shape;
    tensor.leaves[leaf] = digests[block];
  }
}

bool ShardLoader::hashes(const WeightShard& shard, std::size_t leaf) const {
  if (shard.replicated && rank_.slice != 0) return false;
  return leaf % static_cast<std::size_t>(shares_) == static_cast<std::size_t>(rank_.share);
}

}  // namespace fp8cal
