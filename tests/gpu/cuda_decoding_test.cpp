#include <gtest/gtest.h>

#include <cmath>

#include "cache_test.hpp"

namespace fp8cal {
namespace {

class CudaDecoding : public BothBackends {};

TEST_F(CudaDecoding, CachedAttentionAgreesWithTheReference) {
  for (const DType dtype : {DType::bf16, DType::e4m3, DType::e5m2}) {
    for (const CacheCase& c :
         {CacheCase{dtype, 128, 2, 4, 3, 300, false}, CacheCase{dtype, 128, 1, 8, 1, 2048, true},
          CacheCase{dtype, 128, 2, 16, 2, 70, true}, CacheCase{dtype, 64, 3, 2, 5, 129, true},
          CacheCase{dtype, 32, 2, 1, 40, 65, false}, CacheCase{dtype, 32, 1, 3, 1, 1, true}}) {
      TwoCaches caches(*cuda_, *cpu_, c);
      std::vector<std::uint32_t> positions(c.sequences);
      for (std::size_t s = 0; s < c.sequences; ++s) {
        positions[s] = static_cast<std::uint32_t>((c.capacity - 1) * (s + 1) / c.sequences);
      }
      if (c.sequences > 1) positions[0] = 0;
      const std::size_t gap = c.sequences % 2 == 1 ? 3 : 8;  // rows at any address, or aligned
      const TestMatrix q = random_bf16(c.sequences, c.q_cols(), 13, gap, 3.0f);
      TestMatrix expected(DType::bf16, c.sequences, c.q_cols(), 8), found = expected;
      cpu_->cached_attention(q, caches.host(), positions.data(), c.head_dim, expected);
      const DeviceCopy dq(*cuda_, q), out(*cuda_, found);
      const DeviceArray<std::uint32_t> at(*cuda_, positions);
      cuda_->cached_attention(dq, caches.device(), at.data(), c.head_dim, out);
      out.download(found);
      // The reference rounds code * scale to bf16, the GPU does not.
      expect_close(found, expected, c.to_string(), dtype == DType::bf16 ? 2e-2 : 4e-2);
    }
  }
}

TEST_F(CudaDecoding, KeepsKeysAndValuesToTheBit) {
  for (const DType dtype : {DType::bf16, DType::e4m3, DType::e5m2}) {
    for (const CacheCase& c :
         {CacheCase{dtype, 128, 2, 4, 3, 50, false}, CacheCase{dtype, 32, 2, 2, 1, 40, true},
          CacheCase{dtype, 64, 1, 1, 2, 9, true}}) {
      for (const std::size_t each : {1, 5}) {
        TwoCaches caches(*cuda_, *cpu_, c);
        const std::size_t rows = each * c.sequences;
        std::vector<std::uint32_t> positions(rows);
        for (std::size_t r = 0; r < rows; ++r) {
          positions[r] = static_cast<std::uint32_t>(r % each + r / each + 2);
        }
        TestMatrix q = random_bf16(rows, c.q_cols(), 1, 16), k = random_bf16(rows, c.kv_cols(), 2);
        const TestMatrix v = random_bf16(rows, c.kv_cols(), 3, 8);
        const TestMatrix cosine = random_bf16(c.capacity, c.head_dim / 2, 4);
        const TestMatrix sine = random_bf16(c.capacity, c.head_dim / 2, 5);
        const DeviceCopy dq(*cuda_, q), dk(*cuda_, k), dv(*cuda_, v);
        const DeviceCopy dcosine(*cuda_, cosine), dsine(*cuda_, sine);
        const DeviceArray<std::uint32_t> at(*cuda_, positions);
        cuda_->rope_append(dq, dk, dv, c.head_dim, dcosine, dsine, at.data(), caches.device());
        cpu_->rope_append(q, k, v, c.head_dim, cosine, sine, positions.data(), caches.host());
        EXPECT_EQ(dq.values(), q) << c.to_string();
        EXPECT_EQ(dk.values(), k) << c.to_string();
        EXPECT_EQ(caches.keys_on_device(), caches.host_keys()) << c.to_string();
        EXPECT_EQ(caches.values_on_device(), caches.host_values()) << c.to_string();
      }
    }
  }
}

/// Chunks of a prompt: the last rows of a sequence have the bits that they have in the whole.
TEST_F(CudaDecoding, AttentionOfLastRowsHasTheBitsOfTheWhole) {
  constexpr std::size_t kDim = 128, kHeads = 4, kSequences = 2, kLength = 333;
  const DeviceCopy q(*cuda_, random_bf16(kSequences * kLength, kHeads * kDim, 1));
  const DeviceCopy k(*cuda_, random_bf16(kSequences * kLength, kDim, 2));
  const DeviceCopy v(*cuda_, random_bf16(kSequences * kLength, kDim, 3));
  const DeviceCopy whole(*cuda_, TestMatrix(DType::bf16, kSequences * kLength, kHeads * kDim));
  cuda_->attention(q, k, v, kDim, kLength, whole);
  const TestMatrix expected = whole.values();
  for (const std::size_t last : {1, 17, 128, 200, 333}) {
    TestMatrix rows(DType::bf16, kSequences * last, kHeads * kDim);
    const TestMatrix all = q.values();
    for (std::size_t r = 0; r < rows.view().rows; ++r) {
      const std::size_t from = r / last * kLength + kLength - last + r % last;
      std::memcpy(rows.view().row<bf16_bits>(r), all.view().row<bf16_bits>(from),
                  kHeads * kDim * 2);
    }
    const DeviceCopy some(*cuda_, rows);
    const DeviceCopy out(*cuda_, TestMatrix(DType::bf16, kSequences * last, kHeads * kDim));
    cuda_->attention(some, k, v, kDim, kLength, out);
    const TestMatrix found = out.values();
    for (std::size_t r = 0; r < rows.view().rows; ++r) {
      const std::size_t from = r / last * kLength + kLength - last + r % last;
      ASSERT_EQ(std::memcmp(found.view().row<bf16_bits>(r), expected.view().row<bf16_bits>(from),
                            kHeads * kDim * 2),
                0)
          << last << " last rows, row " << r;
    }
  }
}

TEST_F(CudaDecoding, NextTokensAreTheFirstOfTheLargest) {
  constexpr std::size_t kRows = 5, kCols = 32064;
  TestMatrix logits = random_bf16(kRows, kCols, 9);
  for (std::size_t r = 0; r < kRows; ++r) {
    logits.bits(r, 31000 - r) = float_to_bf16(9.0f);
    logits.bits(r, 31500) = float_to_bf16(9.0f);
    logits.bits(r, 7) = 0x7FC0;  // NaN
  }
  for (std::size_t c = 0; c < kCols; ++c) logits.bits(4, c) = float_to_bf16(c == 3 ? 0.0f : -0.0f);
  std::vector<TopToken> tops(2 * kRows, TopToken{-INFINITY, 1});
  const DeviceCopy dlogits(*cuda_, logits);
  const DeviceArray<TopToken> dtops(*cuda_, tops);
  const DeviceArray<std::uint32_t> ids(*cuda_, std::vector<std::uint32_t>(kRows)),
      positions(*cuda_, std::vector<std::uint32_t>(kRows, 41));
  cuda_->top_tokens(dlogits, 100, dtops.data());
  cpu_->top_tokens(logits, 100, tops.data());
  const std::vector<TopToken> found = dtops.values();
  for (std::size_t r = 0; r < kRows; ++r) {
    EXPECT_EQ(found[r].id, tops[r].id) << r;
    EXPECT_EQ(found[r].logit, tops[r].logit) << r;
  }
  EXPECT_EQ(found[1].id, 100u + 30999u);
  EXPECT_EQ(found[4].id, 100u);
  cuda_->next_tokens(dtops.data(), 2, kRows, ids.data(), positions.data());
  EXPECT_EQ(ids.values()[1], 100u + 30999u);
  EXPECT_EQ(positions.values(), std::vector<std::uint32_t>(kRows, 42));
}

TEST_F(CudaDecoding, RecordedCallsRunWhenReplayed) {
  const DeviceArray<TopToken> tops(*cuda_, {{1.0f, 17}});
  const DeviceArray<std::uint32_t> ids(*cuda_, std::vector<std::uint32_t>{0}),
      positions(*cuda_, std::vector<std::uint32_t>{5});
  const auto calls = [&] { cuda_->next_tokens(tops.data(), 1, 1, ids.data(), positions.data()); };
  const std::unique_ptr<Recording> recording = cuda_->record([&] {
    cuda_->mark(0);
    calls();
    cuda_->mark(1);
  });
  EXPECT_EQ(positions.values()[0], 5u);
  for (int i = 0; i < 3; ++i) recording->replay();
  EXPECT_EQ(positions.values()[0], 8u);
  EXPECT_GT(cuda_->seconds_between(0, 1), 0.0);
  EXPECT_LT(cuda_->seconds_between(0, 1), 1e-3);
  EXPECT_THROW(cuda_->record([] { throw std::runtime_error("stop"); }), std::runtime_error);
  calls();
  EXPECT_EQ(positions.values()[0], 9u);
}

TEST_F(CudaDecoding, CachedAttentionSpeed) {
  for (const DType dtype : {DType::bf16, DType::e4m3, DType::e5m2}) {
    for (const auto& [sequences, context] : std::vector<std::pair<std::size_t, std::size_t>>{
             {1, 2048}, {1, 32768}, {8, 2048}, {8, 32768}, {32, 2048}, {32, 32768}, {128, 2048}}) {
      const std::size_t rows = sequences * context, cols = 1024;
      const std::size_t copies = rows <= 65536 ? 8 : 1;
      std::vector<Buffer> buffers;
      std::vector<KvCache> caches;
      const ScalesOnDevice scale(*cuda_, {0.01f});
      for (std::size_t i = 0; i < copies; ++i) {
        for (int half = 0; half < 2; ++half) {
          buffers.push_back(cuda_->allocate(rows * cols * size_of(dtype)));
          cuda_->fill_zero(buffers.back().data(), buffers.back().bytes());
        }
        const Scales own = dtype == DType::bf16 ? Scales{} : Scales(scale);
        caches.push_back({Matrix::dense(buffers[2 * i].data(), dtype, rows, cols),
                          Matrix::dense(buffers[2 * i + 1].data(), dtype, rows, cols), context, own,
                          own});
      }
      const DeviceCopy q(*cuda_, random_bf16(sequences, 4096, 1));
      const DeviceCopy out(*cuda_, TestMatrix(DType::bf16, sequences, 4096));
      const DeviceArray<std::uint32_t> at(
          *cuda_, std::vector<std::uint32_t>(sequences, static_cast<std::uint32_t>(context - 1)));
      const DeviceCopy kv(*cuda_, random_bf16(sequences, cols, 2));
      const DeviceCopy table(*cuda_, random_bf16(context, 64, 3));
      const auto seconds = [&](const auto& call) {
        const auto all = [&] {
          for (const KvCache& cache : caches) call(cache);
        };
        all();
        const std::unique_ptr<Recording> graph = cuda_->record(all);
        return seconds_of(*cuda_, 20, [&] { graph->replay(); }) / static_cast<double>(copies);
      };
      const double attention = seconds(
          [&](const KvCache& cache) { cuda_->cached_attention(q, cache, at.data(), 128, out); });
      const double step = seconds([&](const KvCache& cache) {
        cuda_->decode_attention(q, kv, kv, 128, table, table, at.data(), cache, out, {});
      });
      const double bytes = 2.0 * static_cast<double>(rows * cols * size_of(dtype));
      std::printf("  %s %3zu x %5zu  %8.2f us  %7.1f GB/s; of a decoding step %8.2f us\n",
                  dtype == DType::bf16   ? "bf16"
                  : dtype == DType::e4m3 ? "e4m3"
                                         : "e5m2",
                  sequences, context, attention * 1e6, bytes / attention / 1e9, step * 1e6);
    }
  }
}

}  // namespace
}  // namespace fp8cal
