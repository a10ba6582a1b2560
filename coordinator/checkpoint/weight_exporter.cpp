#include "coordinator/checkpoint/weight_exporter.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "kernels/cpu/cpu_backend.hpp"

namespace fp8cal {
namespace {

// What a thread reads before it writes: large enough for a disk, small enough for many threads.
constexpr std::size_t kBlockBytes = std::size_t{2} << 20;

/// Rows of a block: whole leaves of the weights digest.
std::size_t block_rows(const WeightShard& shard) {
  const std::size_t leaf_bytes = kDigestRows * shard.cols() * sizeof(std::uint16_t);
  return kDigestRows * std::max<std::size_t>(1, kBlockBytes / leaf_bytes);
}

}  // namespace

/// What one thread works with.
struct WeightExporter::Workspace {
  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  std::vector<std::uint16_t> rows;  // bf16
  std::vector<std::uint8_t> codes;  // e4m3
};

/// A weight and what becomes of it.
struct WeightExporter::Source {
  const WeightShard& shard;
  const std::vector<float>* scale;  // null: it is copied
  std::vector<Sha256Digest> leaves;
};

struct WeightExporter::Block {
  Source& source;
  Range rows;
};

/// A workspace, given back at the lease's end.
struct WeightExporter::Lease {
  explicit Lease(WeightExporter& exporter) : owner(exporter) {
    const std::lock_guard lock(owner.mutex_);
    work = std::move(owner.free_.back());
    owner.free_.pop_back();
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard lock(owner.mutex_);
    owner.free_.push_back(std::move(work));
  }

  WeightExporter& owner;
  std::unique_ptr<Workspace> work;
};

WeightExporter::WeightExporter(const Checkpoint& checkpoint, int threads)
    : checkpoint_(checkpoint), pool_(threads) {
  for (int t = 0; t < threads; ++t) free_.push_back(std::make_unique<Workspace>());
}

WeightExporter::~WeightExporter() = default;

void WeightExporter::write(const ExportGroup& group, SafetensorsWriter& file) {
  for (const ScaleTensor& scale : group.scales) {
    file.write(scale.layout.name, 0, std::as_bytes(std::span(scale.values)));
  }
  std::vector<Source> sources;
  for (const WeightShard& shard : group.copied) sources.push_back({shard, nullptr, {}});
  for (const QuantizedWeight& one : group.quantized) {
    sources.push_back({one.shard, &one.scale, {}});
  }
  std::vector<Block> blocks;
  for (Source& source : sources) {
    const std::size_t rows = source.shard.rows.count;
    const std::size_t step = block_rows(source.shard);
    source.leaves.resize((rows + kDigestRows - 1) / kDigestRows);
    for (std::size_t row = 0; row < rows; row += step) {
      blocks.push_back({source, {row, std::min(step, rows - row)}});
    }
  }
  constexpr std::size_t kNanoseconds = 1000000;
  pool_.parallel_for(blocks.size(), kNanoseconds, [&](std::size_t i) {
    const Lease lease(*this);
    write_block(blocks[i], *lease.work, file);
  });
  for (const Source& source : sources) {
    TensorLeaves& tensor = leaves_[source.shard.name];
    tensor.shape = source.shard.shape;
    for (std::size_t i = 0; i < source.leaves.size(); ++i) tensor.leaves[i] = source.leaves[i];
  }
}

void WeightExporter::write_block(const Block& block, Workspace& work,
                                 SafetensorsWriter& file) const {
  const WeightShard& shard = block.source.shard;
  const std::vector<float>* scale = block.source.scale;
  const std::size_t cols = shard.cols();
  work.rows.resize(block.rows.count * cols);
  if (scale != nullptr) work.codes.resize(block.rows.count * cols);
  // A leaf at a time, so that it is hashed and quantized while it lies in the cache.
  for (std::size_t row = 0; row < block.rows.count; row += kDigestRows) {
    const std::size_t count = std::min(kDigestRows, block.rows.count - row);
    const std::size_t first = block.rows.first + row;
    const auto values = std::span(work.rows).subspan(row * cols, count * cols);
    checkpoint_.read_rows(shard.name, first, count, values);
    block.source.leaves[first / kDigestRows] = sha256(std::as_bytes(values));
    if (scale == nullptr) continue;
    const Scales scales =
        scale->size() == 1 ? Scales{scale->data(), 1} : Scales{scale->data() + first, count};
    work.backend->quantize(Matrix::dense(values.data(), DType::bf16, count, cols), scales,
                           Matrix::dense(&work.codes[row * cols], DType::e4m3, count, cols));
  }
  const auto bytes =
      scale == nullptr ? std::as_bytes(std::span(work.rows)) : std::as_bytes(std::span(work.codes));
  const std::size_t row_bytes = bytes.size() / block.rows.count;
  file.write(shard.name, block.rows.first * row_bytes, bytes);
}

}  // namespace fp8cal
