#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/profile/causes.hpp"
#include "coordinator/profile/ceilings.hpp"
#include "coordinator/profile/latency_statistics.hpp"
#include "coordinator/profile/pass_shapes.hpp"
#include "cpu_test_support.hpp"

namespace fp8cal {
namespace {

const CauseTime& at(const std::array<CauseTime, kCauses>& causes, Cause cause) {
  return causes[static_cast<std::size_t>(cause)];
}

TEST(LatencyOf, MedianAndPercentile) {
  const Latency one = latency_of({3});
  EXPECT_EQ(one.median, 3);
  EXPECT_EQ(one.p95, 3);
  EXPECT_EQ(one.runs, 1u);
  EXPECT_EQ(latency_of({4, 1, 2}).median, 2);
  EXPECT_EQ(latency_of({4, 1, 2, 3}).median, 2.5);
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) hundred.push_back(i);
  EXPECT_EQ(latency_of(hundred).median, 50.5);
  EXPECT_EQ(latency_of(hundred).p95, 95);
  hundred.resize(20);  // 81 to 100
  EXPECT_EQ(latency_of(hundred).p95, 99);
  EXPECT_THROW(latency_of({}), std::out_of_range);
}

TEST(CauseOf, KnowsEveryKernelByItsName) {
  EXPECT_EQ(cause_of("multiply 1024x6144x4096"), Cause::products);
  EXPECT_EQ(cause_of("multiply_few 1x6144x4096"), Cause::products);
  EXPECT_EQ(cause_of("multiply_few_silu 1x28672x4096"), Cause::products);
  EXPECT_EQ(cause_of("quantize_multiply_few 1x4096x14336"), Cause::products);
  EXPECT_EQ(cause_of("cached_attention"), Cause::attention);
  EXPECT_EQ(cause_of("decode_attention"), Cause::attention);
  EXPECT_EQ(cause_of("rope_append"), Cause::attention);
  EXPECT_EQ(cause_of("quantize_rows"), Cause::scaling);
  EXPECT_EQ(cause_of("dequantize"), Cause::scaling);
  EXPECT_EQ(cause_of("next_tokens"), Cause::norms);
  EXPECT_EQ(cause_of("add_rms_norm_quantize"), Cause::norms);
  EXPECT_EQ(cause_of("all_gather"), Cause::collectives);
  EXPECT_EQ(cause_of("download"), Cause::gaps);
  EXPECT_EQ(cause_of("something else"), Cause::gaps);
}

TEST(CausesOf, SumUpToTheMedian) {
  const KernelProfile profile = {10,
                                 {{"multiply 1x2x3", 2, 3.0, 100, 20},
                                  {"multiply_few 1x2x3", 1, 1.0, 10, 2},
                                  {"quantize", 4, 0.3, 0, 8},
                                  {"download", 1, 4.0, 0, 4}}};
  const auto causes = causes_of(profile, 0.1, 5.0);
  EXPECT_EQ(at(causes, Cause::products).calls, 3u);
  EXPECT_DOUBLE_EQ(at(causes, Cause::products).seconds, 3.7);
  EXPECT_EQ(at(causes, Cause::products).flop, 110);
  EXPECT_EQ(at(causes, Cause::products).bytes, 22);
  EXPECT_EQ(at(causes, Cause::scaling).seconds, 0);  // less than its pauses
  EXPECT_EQ(at(causes, Cause::scaling).calls, 4u);
  EXPECT_EQ(at(causes, Cause::attention).calls, 0u);
  EXPECT_EQ(at(causes, Cause::gaps).calls, 0u);
  EXPECT_DOUBLE_EQ(at(causes, Cause::gaps).seconds, 1.3);
}

TEST(CausesOf, AreScaledDownToTheMedian) {
  const KernelProfile profile = {10, {{"multiply 1x2x3", 1, 6.0, 1, 1}, {"embed", 1, 2.0, 0, 1}}};
  const auto causes = causes_of(profile, 0, 4.0);
  EXPECT_DOUBLE_EQ(at(causes, Cause::products).seconds, 3.0);
  EXPECT_DOUBLE_EQ(at(causes, Cause::norms).seconds, 1.0);
  EXPECT_EQ(at(causes, Cause::gaps).seconds, 0);
  EXPECT_EQ(at(causes_of({}, 0, 4.0), Cause::gaps).seconds, 4.0);
}

TEST(PassShapes, HaveRoomForThePass) {
  const DecoderShape prompt = shape_of({false, "bf16", "e5m2", 1, 20000});
  EXPECT_EQ(prompt.capacity, 20000u);
  EXPECT_EQ(prompt.chunk, kPromptChunk);
  EXPECT_EQ(prompt.kv, DType::e5m2);
  EXPECT_EQ(shape_of({false, "bf16", "bf16", 1, 100}).chunk, 100u);
  const DecoderShape batch = shape_of({true, "fp8-static", "e4m3", 8, 1024});
  EXPECT_EQ(batch.sequences, 8u);
  EXPECT_EQ(batch.capacity, 1024u);
  EXPECT_EQ(batch.chunk, 0u);
}

TEST(Ceilings, StayWithinAQuarterOfTheBudget) {
  const auto backend = make_cpu_backend(1);
  for (const std::uint64_t budget : {std::uint64_t{1} << 40, std::uint64_t{1} << 20}) {
    const CeilingSizes sizes = ceiling_sizes(*backend, budget);
    EXPECT_LE(sizes.bytes(1), budget / 4);
    EXPECT_GE(sizes.product, 64u);
    EXPECT_GE(sizes.read_bytes, 16384u);
  }
  EXPECT_EQ(ceiling_sizes(*backend, std::uint64_t{1} << 40).read_bytes, std::uint64_t{64} << 20);
}

}  // namespace
}  // namespace fp8cal
