#include "worker/shard_loader.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "jobs/error.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

static_assert(kDigestRows == kRowBlock, "shards begin at multiples of the digest's row blocks");

// Large enough that starting a copy costs nothing, small enough that the last ones do not matter.
constexpr std::size_t kBlockBytes = std::size_t{2} << 20;

// Of each thread: one is copied while the next is filled.
constexpr std::size_t kSlots = 2;

std::size_t slots_of(int threads) { return kSlots * static_cast<std::size_t>(threads); }

/// Room for a block, or for the 16 rows of a leaf where that is more.
std::size_t slot_bytes(const ModelConfig& config) {
  const std::size_t widest =
      std::max({config.hidden_size, config.q_rows(), config.intermediate_size});
  return std::max(kBlockBytes, kDigestRows * widest * sizeof(std::uint16_t));
}

/// codes: rows.count * shard.cols() of E4M3, which has no infinity.
void refuse_nan(const WeightShard& shard, Range rows, std::span<const std::byte> codes) {
  for (const int nan : {0x7F, 0xFF}) {
    const void* found = std::memchr(codes.data(), nan, codes.size());
    if (found == nullptr) continue;
    const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(found) - codes.data());
    throw InputError("tensor " + shard.name,
                     "row " + std::to_string(rows.first + at / shard.cols()), "finite weights",
                     "nan");
  }
}

/// Rows of a block: whole leaves.
std::size_t block_rows(const WeightShard& shard) {
  const std::size_t leaf_bytes = kDigestRows * shard.cols() * size_of(shard.dtype);
  return kDigestRows * std::max<std::size_t>(1, kBlockBytes / leaf_bytes);
}

}  // namespace

void expect_shard(const Checkpoint& checkpoint, const WeightShard& shard) {
  if (shard.dtype == DType::e4m3) {
    checkpoint.expect_codes(shard.name, shard.shape);
  } else {
    checkpoint.expect(shard.name, shard.shape);
  }
}

void read_shard_rows(const Checkpoint& checkpoint, const WeightShard& shard, Range rows,
                     std::span<std::byte> into) {
  if (shard.dtype == DType::e4m3) {
    checkpoint.read_codes(shard.name, rows.first, rows.count, into);
    refuse_nan(shard, rows, into);
    return;
  }
  checkpoint.read_rows(shard.name, rows.first, rows.count,
                       {reinterpret_cast<std::uint16_t*>(into.data()), into.size() / 2});
}

ShardLoader::ShardLoader(const Checkpoint& checkpoint, Backend& backend, const ModelConfig& config,
                         const Plan& plan, const RankPlan& rank, int threads)
    : checkpoint_(checkpoint),
      backend_(backend),
      shares_(static_cast<std::size_t>(plan.grid.sequences)),
      rank_(rank),
      slots_(backend.make_upload_queue(slots_of(threads), slot_bytes(config)), slots_of(threads)),
      pool_(threads) {}

ShardLoader::~ShardLoader() {
  stopping_ = true;
  if (background_.joinable()) background_.join();
}

void ShardLoader::begin(const std::vector<ShardTarget>& shards) {
  wait(loading_.size());
  if (background_.joinable()) background_.join();
  loading_.clear();
  blocks_.clear();
  arrived_ = 0;
  for (const ShardTarget& target : shards) {
    expect_shard(checkpoint_, target.shard);
    add(target);
  }
  // The backend hands out memory in the order of its own calls: before this point it may not be
  // there for other streams yet, or a kernel may still read what was freed to make room for it.
  backend_.synchronize();
  background_ = std::thread([this] { run(); });
}

void ShardLoader::add(const ShardTarget& target) {
  const WeightShard& shard = target.shard;
  const std::size_t step = block_rows(shard);
  const std::size_t leaves = (shard.rows.count + kDigestRows - 1) / kDigestRows;
  for (std::size_t row = 0; row < shard.rows.count; row += step) {
    blocks_.push_back({loading_.size(), {row, std::min(step, shard.rows.count - row)}});
  }
  const std::size_t blocks = (shard.rows.count + step - 1) / step;
  loading_.push_back({target, std::vector<Sha256Digest>(leaves), blocks});
}

void ShardLoader::run() noexcept {
  try {
    constexpr std::size_t kNanoseconds = 1000000;
    pool_.parallel_for(blocks_.size(), kNanoseconds, [this](std::size_t i) {
      if (!stopping_) load(blocks_[i]);
    });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_one();
  }
}

void ShardLoader::load(const Block& block) {
  Loading& one = loading_[block.shard];
  const WeightShard& shard = one.target.shard;
  const StagingSlots::Lease slot(slots_);
  const std::size_t row_bytes = shard.cols() * size_of(shard.dtype);
  const std::span staged(static_cast<std::byte*>(slot.writable()), block.rows.count * row_bytes);
  for (std::size_t row = 0; row < block.rows.count; row += kDigestRows) {
    // A leaf at a time, so that it is hashed while it lies in the cache.
    const std::size_t rows = std::min(kDigestRows, block.rows.count - row);
    const std::span<std::byte> bytes = staged.subspan(row * row_bytes, rows * row_bytes);
    const std::size_t first = shard.rows.first + block.rows.first + row;
    read_shard_rows(checkpoint_, shard, {first, rows}, bytes);
    if (hashes(shard, first / kDigestRows)) {
      one.digests[(block.rows.first + row) / kDigestRows] = sha256(bytes);
    }
  }
  tell_progress();  // a slow disk is no hang
  slot.upload(one.target.into.row_range(block.rows.first, block.rows.count).data,
              staged.size_bytes());
  const std::lock_guard lock(mutex_);
  if (--one.blocks_left == 0) changed_.notify_one();
}

void ShardLoader::wait(std::size_t count) {
  std::size_t sent = arrived_;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      while (sent < count && loading_[sent].blocks_left == 0) ++sent;
      return sent >= count || failure_ != nullptr;
    });
  }
  if (sent < count) abandon();
  slots_.wait_all();
  for (; arrived_ < count; ++arrived_) keep_leaves(loading_[arrived_]);
}

void ShardLoader::abandon() {
  background_.join();
  loading_.clear();
  arrived_ = 0;
  slots_.wait_all();
  std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ShardLoader::keep_leaves(const Loading& one) {
  const WeightShard& shard = one.target.shard;
  const std::size_t first = shard.rows.first / kDigestRows;
  for (std::size_t i = 0; i < one.digests.size(); ++i) {
    if (!hashes(shard, first + i)) continue;
    TensorLeaves& tensor = leaves_[shard.name];
    tensor.shape = shard.shape;
    tensor.leaves[first + i] = one.digests[i];
  }
}

bool ShardLoader::hashes(const WeightShard& shard, std::size_t leaf) const {
  if (shard.replicated && rank_.slice != 0) return false;
  return leaf % shares_ == static_cast<std::size_t>(rank_.share);
}

}  // namespace fp8cal
