#include "kernels/timed_backend.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

const KernelTime* find(const KernelProfile& profile, const std::string& kernel) {
  for (const KernelTime& one : profile.kernels) {
    if (one.kernel == kernel) return &one;
  }
  return nullptr;
}

class TimedBackendTest : public testing::Test {
 protected:
  std::unique_ptr<Backend> cpu_ = make_cpu_backend(1);
  TimedBackend timed_{*cpu_};
};

TEST_F(TimedBackendTest, ComputesWhatTheOtherDoes) {
  const TestMatrix x = bf16_matrix({{1, 2}, {3, 4}});
  const TestMatrix weight = bf16_matrix({{1, 0}, {0, 1}, {1, 1}});
  TestMatrix out(DType::bf16, 2, 3);
  timed_.start();
  timed_.multiply(x, weight, out);
  timed_.stop();
  EXPECT_EQ(out.value(1, 0), 3.0f);
  EXPECT_EQ(out.value(1, 2), 7.0f);
  EXPECT_EQ(timed_.name(), "cpu");
  EXPECT_EQ(timed_.device(), cpu_->device());
  EXPECT_EQ(timed_.memory_bytes(), cpu_->memory_bytes());
}

TEST_F(TimedBackendTest, CountsCallsOperationsAndBytes) {
  const TestMatrix x = random_bf16(4, 6, 1);
  const TestMatrix weight = random_bf16(5, 6, 2);
  TestMatrix out(DType::bf16, 4, 5);
  TestMatrix sum = random_bf16(4, 6, 3);
  timed_.start();
  timed_.multiply(x, weight, out);
  timed_.multiply(x, weight, out);
  timed_.add(sum, x);
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 2u);
  const KernelTime* product = find(profile, "multiply 4x5x6");
  ASSERT_NE(product, nullptr);
  EXPECT_EQ(product->calls, 2u);
  EXPECT_EQ(product->flop, 2 * (2.0 * 4 * 5 * 6));
  EXPECT_EQ(product->bytes, 2 * 2.0 * (4 * 6 + 5 * 6 + 4 * 5));
  const KernelTime* added = find(profile, "add");
  ASSERT_NE(added, nullptr);
  EXPECT_EQ(added->calls, 1u);
  EXPECT_EQ(added->flop, 0);
  EXPECT_EQ(added->bytes, 3.0 * 4 * 6 * 2);
}

TEST_F(TimedBackendTest, CountsTheBytesOfCodesAndComparisons) {
  const TestMatrix x = random_bf16(4, 6, 1), other = random_bf16(4, 6, 2);
  TestMatrix codes(DType::e4m3, 4, 6), out(DType::bf16, 4, 6);
  const float one = 1.0f;
  std::vector<ComparisonPartial> partials(4);
  std::vector<float> kl(2);
  std::vector<std::uint8_t> same_top(2);
  timed_.quantize(x, {&one, 1}, codes);
  timed_.start();
  timed_.dequantize(codes, {&one, 1}, out);
  timed_.comparison_partials(x, other, 0, partials.data());
  timed_.combine_comparison(partials.data(), 2, 2, kl.data(), same_top.data());
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 3u);
  EXPECT_EQ(find(profile, "dequantize")->bytes, 4.0 * 6 * 3);
  EXPECT_EQ(find(profile, "comparison_partials")->bytes, 4.0 * 6 * 4);
  EXPECT_EQ(find(profile, "combine_comparison")->bytes, 2.0 * (2 * 28 + 5));
}

TEST_F(TimedBackendTest, CountsCausalAttention) {
  // Two sequences of 8 tokens, two query heads of 4, one head of keys and values.
  const TestMatrix q = random_bf16(16, 8, 1), k = random_bf16(16, 4, 2), v = random_bf16(16, 4, 3);
  TestMatrix out(DType::bf16, 16, 8);
  timed_.start();
  timed_.attention(q, k, v, 4, 8, out);
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 1u);
  EXPECT_EQ(profile.kernels[0].flop, 16 * 4.0 * 8 * 8 / 2);
  EXPECT_EQ(profile.kernels[0].bytes, 2.0 * 16 * (8 + 4 + 4 + 8));
}

TEST_F(TimedBackendTest, CountsAttentionOfTheLastRows) {
  // The last 2 of 8 tokens see 7 and 8 keys; what both see of each other is counted as half.
  const TestMatrix q = random_bf16(2, 8, 1), k = random_bf16(8, 4, 2);
  TestMatrix out(DType::bf16, 2, 8);
  timed_.start();
  timed_.attention(q, k, k, 4, 8, out);
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 1u);
  EXPECT_EQ(profile.kernels[0].flop, 4.0 * 2 * 8 * (8 - 1));
  EXPECT_EQ(profile.kernels[0].bytes, 2.0 * (2 * 8 + 2 * 8 * 4 + 2 * 8));
}

TEST_F(TimedBackendTest, CountsDecoding) {
  // Two sequences with room for 8 tokens; two query heads of 4, one head of keys and values.
  const std::uint32_t positions[2] = {3, 4};
  const float one = 1.0f;
  TestMatrix q = random_bf16(2, 8, 1), k = random_bf16(2, 4, 2), out(DType::bf16, 2, 8);
  TestMatrix kept(DType::e4m3, 16, 4), weight(DType::e4m3, 8, 8);
  const TestMatrix table = random_bf16(8, 2, 3);
  const KvCache cache = {kept, kept, 8, {&one, 1}, {&one, 1}};
  TopToken tops[2];
  std::uint32_t ids[2], moved[2] = {3, 4};
  for (std::size_t i = 0; i < 64; ++i) kept.code(i / 4, i % 4) = 0x38;
  for (std::size_t i = 0; i < 64; ++i) weight.code(i / 8, i % 8) = 0x38;
  timed_.start();
  timed_.rope_append(q, k, k, 4, table, table, positions, cache);
  timed_.cached_attention(q, cache, positions, 4, out);
  timed_.multiply_few(q, {}, weight, {&one, 1}, out);
  timed_.top_tokens(out, 0, tops);
  timed_.next_tokens(tops, 1, 2, ids, moved);
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 5u);
  EXPECT_EQ(find(profile, "rope_append")->bytes, 2 * 2.0 * (16 + 8) + 2 * 8 + 2 * 8);
  EXPECT_EQ(find(profile, "cached_attention")->flop, 4.0 * 2 * 8 * 8);
  EXPECT_EQ(find(profile, "cached_attention")->bytes, 2 * 2.0 * 16 + 2 * 64);
  EXPECT_EQ(find(profile, "multiply_few 2x8x8")->flop, 2.0 * 2 * 8 * 8);
  EXPECT_EQ(find(profile, "multiply_few 2x8x8")->bytes, 2 * 2.0 * 16 + 64);
  EXPECT_EQ(find(profile, "top_tokens")->bytes, 2.0 * 16);
  EXPECT_EQ(find(profile, "next_tokens")->bytes, 2.0 * (8 + 12));
}

TEST_F(TimedBackendTest, CountsGatedProducts) {
  const TestMatrix x = random_bf16(3, 6, 1), weight = random_bf16(8, 6, 2);
  const float one = 1.0f;
  TestMatrix products(DType::bf16, 3, 8), out(DType::bf16, 3, 4), codes(DType::e4m3, 3, 4);
  const double operands = 2.0 * (3 * 6 + 8 * 6);
  for (const bool quantizes : {false, true}) {
    QuantizedRows into;
    if (quantizes) into = {.codes = codes, .scale = {&one, 1}};
    timed_.start();
    timed_.multiply_few_silu(x, {}, weight, {}, products, out, into);
    timed_.stop();
    const KernelProfile profile = timed_.profile();
    ASSERT_EQ(profile.kernels.size(), 1u);
    EXPECT_EQ(profile.kernels[0].kernel, "multiply_few_silu 3x8x6");
    EXPECT_EQ(profile.kernels[0].flop, 2.0 * 3 * 8 * 6);
    EXPECT_EQ(profile.kernels[0].bytes, operands + (quantizes ? 1.0 : 2.0) * 3 * 4);
  }
}

TEST_F(TimedBackendTest, CountsAProductThatQuantizesOnce) {
  const TestMatrix x = random_bf16(1, 16, 1);
  TestMatrix weight(DType::e4m3, 8, 16), codes(DType::e4m3, 1, 16), out(DType::bf16, 1, 8);
  const float one = 1.0f;
  float row_scale = 0.0f;
  timed_.quantize(random_bf16(8, 16, 2), {&one, 1}, weight);
  timed_.start();
  timed_.quantize_multiply_few(x, {codes, {}, &row_scale}, weight, {&one, 1}, out);
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 1u);
  EXPECT_EQ(profile.kernels[0].kernel, "quantize_multiply_few 1x8x16");
  EXPECT_EQ(profile.kernels[0].flop, 2.0 * 8 * 16);
  EXPECT_EQ(profile.kernels[0].bytes, 2.0 * 16 + 8 * 16 + 2.0 * 8);
  EXPECT_GT(row_scale, 0.0f);
}

TEST_F(TimedBackendTest, CountsAttentionOfADecodingStep) {
  // Two sequences with room for 8 tokens; two query heads of 4, one head of keys and values.
  const std::uint32_t positions[2] = {3, 4};
  const float one = 1.0f;
  TestMatrix q = random_bf16(2, 8, 1), k = random_bf16(2, 4, 2), kept = random_bf16(16, 4, 2);
  const TestMatrix table = random_bf16(8, 2, 3);
  TestMatrix out(DType::bf16, 2, 8), codes(DType::e4m3, 2, 8);
  for (const bool quantizes : {false, true}) {
    QuantizedRows into;
    if (quantizes) into = {.codes = codes, .scale = {&one, 1}};
    timed_.start();
    timed_.decode_attention(q, k, k, 4, table, table, positions, {kept, kept, 8, {}, {}}, out,
                            into);
    timed_.stop();
    const KernelProfile profile = timed_.profile();
    ASSERT_EQ(profile.kernels.size(), 1u);
    EXPECT_EQ(profile.kernels[0].kernel, "decode_attention");
    EXPECT_EQ(profile.kernels[0].flop, 4.0 * 2 * 8 * 8);
    // q, k and v; k and v kept, and the whole cache; the result.
    EXPECT_EQ(profile.kernels[0].bytes,
              2.0 * (16 + 2 * 8) + 2.0 * (2 * 8 + 2 * 64) + (quantizes ? 1.0 : 2.0) * 16);
  }
}

TEST_F(TimedBackendTest, TimesOtherWorkUnderItsName) {
  timed_.start();
  timed_.time("gather", 100, [] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 1u);
  EXPECT_EQ(profile.kernels[0].kernel, "gather");
  EXPECT_GE(profile.kernels[0].seconds, 0.005);
  EXPECT_EQ(profile.kernels[0].bytes, 100);
}

TEST_F(TimedBackendTest, TimesEachReplayByItself) {
  TestMatrix x = random_bf16(4, 4, 1);
  const auto recording = timed_.record([&] {
    timed_.add(x, x);
    timed_.add(x, x);
  });
  timed_.add(x, x);  // not a part of it
  recording->replay();
  recording->replay();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 1u);
  EXPECT_EQ(profile.kernels[0].calls, 2u);
  EXPECT_GE(profile.seconds, profile.kernels[0].seconds);
}

TEST_F(TimedBackendTest, TellsKernelsFromWhatLiesBetween) {
  TestMatrix x = random_bf16(512, 1024, 1);
  timed_.start();
  timed_.add(x, x);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  timed_.add(x, x);
  timed_.stop();
  const KernelProfile profile = timed_.profile();
  ASSERT_EQ(profile.kernels.size(), 1u);
  EXPECT_GT(profile.kernels[0].seconds, 0);
  EXPECT_GE(profile.other_seconds(), 0.020);
  EXPECT_DOUBLE_EQ(profile.kernels[0].seconds + profile.other_seconds(), profile.seconds);
}

TEST_F(TimedBackendTest, RecordsOnlyBetweenStartAndStop) {
  TestMatrix x = random_bf16(4, 4, 1);
  timed_.add(x, x);
  timed_.start();
  timed_.add(x, x);
  timed_.stop();
  timed_.add(x, x);
  EXPECT_EQ(timed_.profile().kernels.at(0).calls, 1u);
  timed_.start();
  timed_.stop();
  EXPECT_TRUE(timed_.profile().kernels.empty());
}

TEST_F(TimedBackendTest, ForgetsACallThatThrows) {
  TestMatrix x = random_bf16(4, 4, 1), other = random_bf16(3, 4, 1);
  timed_.start();
  EXPECT_THROW(timed_.add(x, other), std::invalid_argument);
  timed_.add(x, x);
  timed_.stop();
  EXPECT_EQ(timed_.profile().kernels.at(0).calls, 1u);
}

TEST(KernelProfile, AddsUpKernelByKernel) {
  KernelProfile sum = {1.0, {{"b", 1, 0.5, 10, 0}}};
  sum += {2.0, {{"b", 2, 0.25, 30, 0}, {"a", 1, 1.0, 0, 8}}};
  EXPECT_EQ(sum.seconds, 3.0);
  ASSERT_EQ(sum.kernels.size(), 2u);
  EXPECT_EQ(sum.kernels[0].kernel, "a");
  EXPECT_EQ(sum.kernels[1].calls, 3u);
  EXPECT_EQ(sum.kernels[1].seconds, 0.75);
  EXPECT_EQ(sum.kernels[1].flop, 40);
  EXPECT_EQ(sum.other_seconds(), 1.25);
  EXPECT_EQ((KernelProfile{1.0, {{"rounded up", 1, 1.1, 0, 0}}}.other_seconds()), 0);
}

}  // namespace
}  // namespace fp8cal
