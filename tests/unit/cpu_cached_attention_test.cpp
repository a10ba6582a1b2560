#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kHeadDim = 16, kKvHeads = 2, kQHeads = 6;
constexpr std::size_t kQCols = kQHeads * kHeadDim, kKvCols = kKvHeads * kHeadDim;

/// Keys or values of `sequences`, none written yet.
TestMatrix empty_cache(DType dtype, std::size_t sequences, std::size_t capacity) {
  return TestMatrix(dtype, sequences * capacity, kKvCols);
}

/// As what quantizing by these scales, one or one a head, leaves of x.
TestMatrix rounded(Backend& backend, const TestMatrix& x, DType dtype,
                   const std::vector<float>& scales) {
  TestMatrix out = x;
  if (dtype == DType::bf16) return out;
  const std::size_t width = x.view().cols / scales.size();
  for (std::size_t part = 0; part < scales.size(); ++part) {
    const Matrix own = out.view().column_range(part * width, width);
    TestMatrix codes(dtype, own.rows, width);
    backend.quantize(own, {&scales[part], 1}, codes);
    backend.dequantize(codes, {&scales[part], 1}, own);
  }
  return out;
}

struct CacheKind {
  DType dtype;
  std::vector<float> key_scale, value_scale;
};

const CacheKind kKinds[] = {{DType::bf16, {}, {}},
                            {DType::e4m3, {0.013f}, {0.25f}},
                            {DType::e5m2, {0.013f}, {0.25f}},
                            {DType::e4m3, {0.01f, 0.02f}, {0.3f, 1.5f}},
                            {DType::e5m2, {0.01f, 0.02f}, {0.3f, 1.5f}}};

KvCache cache_of(const TestMatrix& keys, const TestMatrix& values, std::size_t capacity,
                 const CacheKind& kind) {
  return {.keys = keys,
          .values = values,
          .capacity = capacity,
          .key_scale = {kind.key_scale.data(), kind.key_scale.size()},
          .value_scale = {kind.value_scale.data(), kind.value_scale.size()}};
}

std::uint8_t first_byte(const TestMatrix& x, std::size_t row) {
  return *static_cast<const std::uint8_t*>(x.view().row_range(row, 1).data);
}

void expect_same_row(const TestMatrix& a, std::size_t row, const TestMatrix& b,
                     std::size_t other_row, const std::string& what) {
  EXPECT_EQ(std::memcmp(a.view().row<bf16_bits>(row), b.view().row<bf16_bits>(other_row),
                        2 * a.view().cols),
            0)
      << what;
}

/// One token a sequence, at positions [0], [capacity - 1] and between, against the last row of
/// attention over the same tokens.
TEST(CpuCachedAttention, IsTheLastRowOfAttentionOverWhatTheCacheHolds) {
  const std::size_t capacity = 70;
  const std::vector<std::uint32_t> positions = {0, 1, 14, 69};
  for (const CacheKind& kind : kKinds) {
    for (const auto& [name, backend] : all_cpu_backends()) {
      TestMatrix keys = empty_cache(kind.dtype, positions.size(), capacity);
      TestMatrix values = empty_cache(kind.dtype, positions.size(), capacity);
      const KvCache cache = cache_of(keys, values, capacity, kind);
      const TestMatrix q = random_bf16(positions.size(), kQCols, 9, 3);
      TestMatrix out(DType::bf16, positions.size(), kQCols, 5);
      std::vector<TestMatrix> expected;
      for (std::size_t s = 0; s < positions.size(); ++s) {
        const std::size_t length = positions[s] + 1;
        const TestMatrix k = random_bf16(length, kKvCols, 20 + static_cast<unsigned>(s));
        const TestMatrix v = random_bf16(length, kKvCols, 40 + static_cast<unsigned>(s));
        for (std::size_t part = 0; part < (kind.dtype == DType::bf16 ? 1 : kKvHeads); ++part) {
          const Matrix own_keys = keys.view().row_range(s * capacity, length);
          const Matrix own_values = values.view().row_range(s * capacity, length);
          if (kind.dtype == DType::bf16) {
            std::memcpy(own_keys.data, k.view().data, length * kKvCols * 2);
            std::memcpy(own_values.data, v.view().data, length * kKvCols * 2);
            break;
          }
          const auto scale = [&](const std::vector<float>& all) {
            return Scales{&all[all.size() == 1 ? 0 : part], 1};
          };
          const std::size_t first = part * kHeadDim;
          backend->quantize(k.view().column_range(first, kHeadDim), scale(kind.key_scale),
                            own_keys.column_range(first, kHeadDim));
          backend->quantize(v.view().column_range(first, kHeadDim), scale(kind.value_scale),
                            own_values.column_range(first, kHeadDim));
        }
        TestMatrix queries = random_bf16(length, kQCols, 60);
        std::memcpy(&queries.bits(length - 1, 0), q.view().row<bf16_bits>(s), 2 * kQCols);
        expected.emplace_back(DType::bf16, length, kQCols);
        backend->attention(queries, rounded(*backend, k, kind.dtype, kind.key_scale),
                           rounded(*backend, v, kind.dtype, kind.value_scale), kHeadDim, length,
                           expected.back());
      }
      backend->cached_attention(q, cache, positions.data(), kHeadDim, out);
      for (std::size_t s = 0; s < positions.size(); ++s) {
        expect_same_row(out, s, expected[s], positions[s],
                        name + ", sequence " + std::to_string(s));
      }
      EXPECT_EQ(out.view().row<std::uint8_t>(0)[2 * kQCols], kPoison);
    }
  }
}

TEST(CpuCachedAttention, AttentionOfTheLastRowsIsThatOfAllRows) {
  const std::size_t length = 41, sequences = 2;
  const auto backend = make_cpu_backend(2);
  const TestMatrix q = random_bf16(sequences * length, kQCols, 1);
  const TestMatrix k = random_bf16(sequences * length, kKvCols, 2);
  const TestMatrix v = random_bf16(sequences * length, kKvCols, 3);
  TestMatrix whole(DType::bf16, sequences * length, kQCols);
  backend->attention(q, k, v, kHeadDim, length, whole);
  for (const std::size_t rows : {std::size_t{1}, std::size_t{7}, std::size_t{40}, length}) {
    TestMatrix last(DType::bf16, sequences * rows, kQCols),
        out(DType::bf16, sequences * rows, kQCols);
    for (std::size_t r = 0; r < sequences * rows; ++r) {
      const std::size_t from = r / rows * length + length - rows + r % rows;
      std::memcpy(&last.bits(r, 0), q.view().row<bf16_bits>(from), 2 * kQCols);
    }
    backend->attention(last, k, v, kHeadDim, length, out);
    for (std::size_t r = 0; r < sequences * rows; ++r) {
      const std::size_t from = r / rows * length + length - rows + r % rows;
      expect_same_row(out, r, whole, from, std::to_string(rows) + " last rows");
    }
  }
}

/// Two sequences, two tokens each, out of order: against rope, quantize and where they should be.
TEST(CpuCachedAttention, RopeAppendRotatesAndKeeps) {
  const std::size_t capacity = 5, rows = 4;
  const std::vector<std::uint32_t> positions = {3, 0, 4, 1};
  const TestMatrix cosine = random_bf16(6, kHeadDim / 2, 1), sine = random_bf16(6, kHeadDim / 2, 2);
  for (const CacheKind& kind : kKinds) {
    const auto backend = make_cpu_backend(2);
    TestMatrix qkv = random_bf16(rows, kQCols + 2 * kKvCols, 3);
    const TestMatrix before = qkv;
    TestMatrix keys = empty_cache(kind.dtype, 2, capacity);
    TestMatrix values = empty_cache(kind.dtype, 2, capacity);
    const Matrix all = qkv.view();
    backend->rope_append(all.column_range(0, kQCols), all.column_range(kQCols, kKvCols),
                         all.column_range(kQCols + kKvCols, kKvCols), kHeadDim, cosine, sine,
                         positions.data(), cache_of(keys, values, capacity, kind));
    for (std::size_t r = 0; r < rows; ++r) {
      TestMatrix row(DType::bf16, 1, kQCols + 2 * kKvCols);
      std::memcpy(&row.bits(0, 0), before.view().row<bf16_bits>(r), 2 * row.view().cols);
      backend->rope(row.view().column_range(0, kQCols + kKvCols), kHeadDim,
                    cosine.view().row_range(positions[r], 1),
                    sine.view().row_range(positions[r], 1));
      expect_same_row(qkv, r, row, 0, "row " + std::to_string(r));
      const std::size_t place = r / 2 * capacity + positions[r];
      for (std::size_t c = 0; c < kKvCols; ++c) {
        const auto kept = [&](const TestMatrix& cache, std::size_t column,
                              const std::vector<float>& scales) {
          if (kind.dtype == DType::bf16) {
            EXPECT_EQ(cache.value(place, c), row.value(0, column + c));
            return;
          }
          const float scale = scales[scales.size() == 1 ? 0 : c / kHeadDim];
          const Fp8Format format = kind.dtype == DType::e4m3 ? Fp8Format::e4m3 : Fp8Format::e5m2;
          EXPECT_EQ(cache.view().row<std::uint8_t>(place)[c],
                    float_to_fp8(format, row.value(0, column + c) / scale));
        };
        kept(keys, kQCols, kind.key_scale);
        kept(values, kQCols + kKvCols, kind.value_scale);
      }
    }
    // Positions 1, 2 and 4 of the first sequence were not written.
    for (const std::size_t place : {1, 2, 4}) {
      EXPECT_EQ(first_byte(keys, place), kPoison);
      EXPECT_EQ(first_byte(values, place), kPoison);
    }
  }
}

class CacheShapes : public testing::Test {
 protected:
  std::string attend(const TestMatrix& q, const KvCache& cache, std::uint32_t position = 0) {
    TestMatrix out(DType::bf16, q.view().rows, q.view().cols);
    const std::vector<std::uint32_t> positions(q.view().rows, position);
    return shape_error(
        [&] { backend_->cached_attention(q, cache, positions.data(), kHeadDim, out); });
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend(1);
  TestMatrix q_ = random_bf16(2, kQCols, 1);
  TestMatrix keys_ = random_bf16(2 * 3, kKvCols, 2), values_ = random_bf16(2 * 3, kKvCols, 3);
  KvCache cache_ = cache_of(keys_, values_, 3, kKinds[0]);
};

TEST_F(CacheShapes, Misfits) {
  EXPECT_EQ(attend(q_, cache_, 2), "nothing thrown");
  EXPECT_EQ(attend(q_, cache_, 3), "cached_attention: positions: expected at most 3, found 4");
  EXPECT_THAT(attend(random_bf16(3, kQCols, 1), cache_), testing::HasSubstr("q: expected [2, 96]"));
  EXPECT_THAT(attend(random_bf16(2, 3 * kHeadDim, 1), cache_),
              testing::HasSubstr("heads of q: expected a multiple of 2, found 3"));
  KvCache odd = cache_;
  odd.capacity = 4;
  EXPECT_EQ(attend(q_, odd), "cached_attention: cache rows: expected a multiple of 4, found 6");
  odd = cache_;
  odd.values = TestMatrix(DType::e4m3, 6, kKvCols);
  EXPECT_THAT(attend(q_, odd), testing::HasSubstr("values: expected [6, 32] bf16"));
  const TestMatrix gaps = random_bf16(6, kKvCols, 2, 1);
  odd = cache_;
  odd.keys = gaps;
  EXPECT_THAT(attend(q_, odd), testing::HasSubstr("dense"));
}

TEST_F(CacheShapes, ScalesOfFp8) {
  TestMatrix codes(DType::e4m3, 6, kKvCols);
  KvCache cache = cache_of(codes, codes, 3, kKinds[0]);
  EXPECT_THAT(attend(q_, cache), testing::HasSubstr("key_scale: expected 1 or 2 scales, found 0"));
  const float scales[3] = {1, 1, 1};
  cache.key_scale = {scales, 2};
  cache.value_scale = {scales, 3};
  EXPECT_THAT(attend(q_, cache),
              testing::HasSubstr("value_scale: expected 1 or 2 scales, found 3"));
}

TEST_F(CacheShapes, AppendsNothingBeyondTheEnd) {
  TestMatrix q = random_bf16(2, kQCols, 1), k = random_bf16(2, kKvCols, 2);
  const TestMatrix table = random_bf16(2, kHeadDim / 2, 3);
  const std::vector<std::uint32_t> positions = {1, 2};
  const auto append = [&](std::size_t rows) {
    return shape_error([&] {
      backend_->rope_append(q.view().row_range(0, rows), k.view().row_range(0, rows),
                            k.view().row_range(0, rows), kHeadDim, table, table, positions.data(),
                            cache_);
    });
  };
  EXPECT_EQ(append(2), "rope_append: positions: expected at most 2, found 3");  // of the table
  EXPECT_EQ(append(1), "rope_append: rows of q: expected a multiple of 2, found 1");
  EXPECT_EQ(append(0), "nothing thrown");
}

TEST_F(CacheShapes, NoMoreQueriesThanKeys) {
  TestMatrix q = random_bf16(8, kQCols, 1), out(DType::bf16, 8, kQCols);
  EXPECT_EQ(shape_error([&] { backend_->attention(q, keys_, values_, kHeadDim, 3, out); }),
            "attention: rows of q in a sequence: expected at most 3, found 4");
}

}  // namespace
}  // namespace fp8cal
