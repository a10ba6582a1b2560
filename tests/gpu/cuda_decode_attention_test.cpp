#include <gtest/gtest.h>

#include "cache_test.hpp"

namespace fp8cal {
namespace {

enum class Cast : std::uint8_t { none, by_tensor, by_row };

/// What a decoding step takes and gives, on the GPU; the same numbers for the same case.
class Step {
 public:
  Step(Backend& cuda, const CacheCase& c, Cast cast, std::size_t gap = 8)
      : cuda_(cuda),
        head_dim_(c.head_dim),
        cast_(cast),
        q_(cuda, random_bf16(c.sequences, c.q_cols(), 21, gap, 3.0f)),
        k_(cuda, random_bf16(c.sequences, c.kv_cols(), 22, gap, 2.0f)),
        v_(cuda, random_bf16(c.sequences, c.kv_cols(), 23, gap)),
        cosine_(cuda, random_bf16(c.capacity, c.head_dim / 2, 24)),
        sine_(cuda, random_bf16(c.capacity, c.head_dim / 2, 25)),
        out_(cuda, TestMatrix(DType::bf16, c.sequences, c.q_cols(), gap)),
        codes_(cuda, TestMatrix(DType::e4m3, c.sequences, c.q_cols(), gap)),
        scale_(cuda, {0.013f}),
        row_scales_(cuda, std::vector<float>(c.sequences)) {}

  void decode(const KvCache& cache, const std::uint32_t* positions) const {
    QuantizedRows into;
    if (cast_ == Cast::by_tensor) into = {codes_, {scale_.data(), 1}};
    if (cast_ == Cast::by_row) into = {codes_, {}, row_scales_.data()};
    cuda_.decode_attention(q_, k_, v_, head_dim_, cosine_, sine_, positions, cache, out_, into);
  }
  /// By single calls. Rotates q and k in place: once.
  void decode_singly(const KvCache& cache, const std::uint32_t* positions) const {
    cuda_.rope_append(q_, k_, v_, head_dim_, cosine_, sine_, positions, cache);
    cuda_.cached_attention(q_, cache, positions, head_dim_, out_);
    if (cast_ == Cast::by_tensor) cuda_.quantize(out_, {scale_.data(), 1}, codes_);
    if (cast_ == Cast::by_row) cuda_.quantize_rows(out_, codes_, row_scales_.data());
  }
  void decode_on(Backend& cpu, KvCache cache, const std::uint32_t* positions,
                 TestMatrix& out) const {
    TestMatrix q = q_.values(), k = k_.values();
    cpu.decode_attention(q, k, v_.values(), head_dim_, cosine_.values(), sine_.values(), positions,
                         cache, out, {});
  }
  TestMatrix out() const { return out_.values(); }
  /// What was asked for: with a scale for the whole, out may be unwritten.
  void expect_same_results(const Step& other, const std::string& what) const {
    if (cast_ != Cast::by_tensor) {
      EXPECT_EQ(out_.values(), other.out_.values()) << what;
    }
    EXPECT_EQ(codes_.values(), other.codes_.values()) << what;
    EXPECT_EQ(row_scales_.values(), other.row_scales_.values()) << what;
  }

 private:
  Backend& cuda_;
  std::size_t head_dim_;
  Cast cast_;
  DeviceCopy q_, k_, v_, cosine_, sine_, out_, codes_;
  DeviceArray<float> scale_, row_scales_;
};

void expect_same_caches(const TwoCaches& a, const TwoCaches& b, const std::string& what) {
  EXPECT_EQ(a.keys_on_device(), b.keys_on_device()) << what;
  EXPECT_EQ(a.values_on_device(), b.values_on_device()) << what;
}

/// The first sequence stands at `first`, the others elsewhere.
std::vector<std::uint32_t> spread_positions(const CacheCase& c, std::size_t first) {
  std::vector<std::uint32_t> positions(c.sequences);
  for (std::size_t s = 0; s < c.sequences; ++s) {
    positions[s] = static_cast<std::uint32_t>((first + 37 * s) % c.capacity);
  }
  return positions;
}

class CudaDecodeAttention : public BothBackends {};

TEST_F(CudaDecodeAttention, HasTheBitsOfSingleCalls) {
  for (const DType dtype : {DType::bf16, DType::e4m3, DType::e5m2}) {
    for (const CacheCase& c :
         {CacheCase{dtype, 128, 2, 4, 1, 2112, false}, CacheCase{dtype, 128, 1, 16, 3, 300, true},
          CacheCase{dtype, 128, 3, 1, 40, 66, true}, CacheCase{dtype, 64, 3, 7, 5, 129, true},
          CacheCase{dtype, 64, 1, 8, 1, 1000, false}, CacheCase{dtype, 32, 2, 2, 2, 257, true},
          CacheCase{dtype, 32, 1, 16, 1, 70, false}, CacheCase{dtype, 128, 2, 3, 1, 1, true}}) {
      TwoCaches caches(*cuda_, *cpu_, c), expected_caches(*cuda_, *cpu_, c);
      // Each goes on with what those before left in the cache.
      for (const std::size_t first :
           {std::size_t{0}, std::size_t{1}, std::size_t{62}, std::size_t{63}, std::size_t{64},
            std::size_t{65}, c.capacity / 2, c.capacity - 1}) {
        if (first >= c.capacity) continue;
        const DeviceArray<std::uint32_t> at(*cuda_, spread_positions(c, first));
        for (const Cast cast : {Cast::none, Cast::by_tensor, Cast::by_row}) {
          const std::size_t gap = cast == Cast::none && first % 2 == 1 ? 1 : 8;
          const Step step(*cuda_, c, cast, gap), expected(*cuda_, c, cast, gap);
          expected.decode_singly(expected_caches.device(), at.data());
          step.decode(caches.device(), at.data());
          const std::string what = c.to_string() + ", at " + std::to_string(first);
          step.expect_same_results(expected, what);
          expect_same_caches(caches, expected_caches, what);
        }
      }
    }
  }
}

TEST_F(CudaDecodeAttention, AgreesWithTheReference) {
  for (const DType dtype : {DType::bf16, DType::e4m3, DType::e5m2}) {
    for (const CacheCase& c :
         {CacheCase{dtype, 128, 2, 4, 1, 2112, true}, CacheCase{dtype, 64, 2, 2, 3, 300, false},
          CacheCase{dtype, 32, 1, 3, 5, 65, true}}) {
      TwoCaches caches(*cuda_, *cpu_, c);
      const std::vector<std::uint32_t> positions = spread_positions(c, c.capacity - 1);
      const DeviceArray<std::uint32_t> at(*cuda_, positions);
      const Step step(*cuda_, c, Cast::none);
      TestMatrix expected(DType::bf16, c.sequences, c.q_cols(), 8);
      step.decode_on(*cpu_, caches.host(), positions.data(), expected);
      step.decode(caches.device(), at.data());
      expect_close(step.out(), expected, c.to_string(), dtype == DType::bf16 ? 2e-2 : 4e-2);
      EXPECT_EQ(caches.keys_on_device(), caches.host_keys()) << c.to_string();
      EXPECT_EQ(caches.values_on_device(), caches.host_values()) << c.to_string();
    }
  }
}

/// Two shapes in turn, which share scratch memory, with nothing between the kernels.
TEST_F(CudaDecodeAttention, HasTheSameBitsEachTime) {
  for (const DType dtype : {DType::bf16, DType::e4m3}) {
    const CacheCase one = {dtype, 128, 8, 4, 1, 2112, false}, two = {dtype, 64, 3, 2, 3, 500, true};
    TwoCaches caches_one(*cuda_, *cpu_, one), caches_two(*cuda_, *cpu_, two);
    const Step step_one(*cuda_, one, Cast::none), step_two(*cuda_, two, Cast::none);
    const DeviceArray<std::uint32_t> at_one(*cuda_, spread_positions(one, 2047)),
        at_two(*cuda_, spread_positions(two, 100));
    const auto calls = [&] {
      for (int i = 0; i < 3; ++i) {
        step_one.decode(caches_one.device(), at_one.data());
        step_two.decode(caches_two.device(), at_two.data());
      }
    };
    calls();
    const TestMatrix expected_one = step_one.out(), expected_two = step_two.out();
    const std::unique_ptr<Recording> recording = cuda_->record(calls);
    for (int i = 0; i < 50; ++i) {
      if (i % 2 == 0) {
        recording->replay();
      } else {
        calls();
      }
      ASSERT_EQ(step_one.out(), expected_one) << one.to_string() << ", time " << i;
      ASSERT_EQ(step_two.out(), expected_two) << two.to_string() << ", time " << i;
    }
  }
}

/// Positions go on from step to step, over the edge of a tile and of a block's part.
TEST_F(CudaDecodeAttention, FollowsThePositionsWhereItIsRecorded) {
  for (const DType dtype : {DType::bf16, DType::e5m2}) {
    const CacheCase c = {dtype, 128, 2, 4, 2, 200, true};
    TwoCaches caches(*cuda_, *cpu_, c), expected_caches(*cuda_, *cpu_, c);
    const std::vector<std::uint32_t> start = {60, 125};
    const DeviceArray<std::uint32_t> at(*cuda_, start), ids(*cuda_, start);
    const DeviceArray<TopToken> tops(*cuda_, std::vector<TopToken>(2, TopToken{1.0f, 17}));
    const Step step(*cuda_, c, Cast::by_tensor);
    step.decode(caches.device(), at.data());  // scratch memory is there before it is recorded
    const std::unique_ptr<Recording> recording = cuda_->record([&] {
      step.decode(caches.device(), at.data());
      cuda_->next_tokens(tops.data(), 1, 2, ids.data(), at.data());
    });
    for (std::uint32_t i = 0; i < 10; ++i) {
      const DeviceArray<std::uint32_t> here(*cuda_, {start[0] + i, start[1] + i});
      const Step expected(*cuda_, c, Cast::by_tensor);
      expected.decode_singly(expected_caches.device(), here.data());
      recording->replay();
      step.expect_same_results(expected, c.to_string() + ", step " + std::to_string(i));
    }
    expect_same_caches(caches, expected_caches, c.to_string());
  }
}

}  // namespace
}  // namespace fp8cal
