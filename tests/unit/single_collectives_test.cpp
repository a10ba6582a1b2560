#include "sharding/single_collectives.hpp"

#include <gmock/gmock.h>

#include <numeric>
#include <vector>

#include "jobs/error.hpp"
#include "tests/gpu/gpu_test.hpp"

namespace fp8cal {
namespace {

/// On the cpu, and on a GPU where there is one.
class SingleCollectivesTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    if (name == "cuda") FP8CAL_GPU_OR_SKIP();
    backend_ = make_backend({.name = name});
    group_ = std::make_unique<SingleCollectives>(*backend_);
  }

  template <class T>
  Buffer uploaded(const std::vector<T>& values) {
    Buffer buffer = backend_->allocate(values.size() * sizeof(T));
    backend_->upload(buffer.data(), values.data(), buffer.bytes());
    backend_->synchronize();
    return buffer;
  }
  template <class T>
  std::vector<T> downloaded(const Buffer& buffer) {
    std::vector<T> values(buffer.bytes() / sizeof(T));
    backend_->download(values.data(), buffer.data(), buffer.bytes());
    return values;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<SingleCollectives> group_;
};

TEST_P(SingleCollectivesTest, IsTheOnlyRank) {
  EXPECT_EQ(group_->rank(), 0);
  EXPECT_EQ(group_->size(), 1);
}

TEST_P(SingleCollectivesTest, GatherCopiesSoManyBytes) {
  std::vector<std::uint8_t> sent(4099);
  std::iota(sent.begin(), sent.end(), std::uint8_t{1});
  const Buffer from = uploaded(sent);
  for (const std::size_t bytes : {0, 1, 16, 33, 4096, 4099}) {
    std::vector<std::uint8_t> expected(sent.size(), 0xAB);
    const Buffer into = uploaded(expected);
    group_->all_gather(from.data(), into.data(), bytes);
    group_->wait();
    std::copy_n(sent.begin(), bytes, expected.begin());
    EXPECT_EQ(downloaded<std::uint8_t>(into), expected) << bytes;
  }
}

TEST_P(SingleCollectivesTest, GatherReadsWhatTheBackendWroteBefore) {
  const Buffer from = uploaded(std::vector<std::uint32_t>(64, 7));
  const Buffer into = uploaded(std::vector<std::uint32_t>(64, 9));
  backend_->fill_zero(from.data(), from.bytes());
  group_->begin_gather(from.data(), into.data(), from.bytes(), 1);
  group_->end_gather(1);
  EXPECT_THAT(downloaded<std::uint32_t>(into), testing::Each(0u));
}

TEST_P(SingleCollectivesTest, GatherInPlaceAndReductionsChangeNothing) {
  const std::vector<std::uint32_t> values = {3, 0, 0xFFFFFFFFu, 5};
  const Buffer buffer = uploaded(values);
  group_->all_gather(buffer.data(), buffer.data(), buffer.bytes());
  group_->all_max(buffer.as<std::uint32_t>(), values.size());
  group_->all_sum(buffer.as<std::uint32_t>(), values.size());
  group_->all_sum(buffer.as<std::uint64_t>(), values.size() / 2);
  group_->wait();
  EXPECT_EQ(downloaded<std::uint32_t>(buffer), values);
}

TEST_P(SingleCollectivesTest, HasNobodyToTalkTo) {
  const auto text_of = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  std::uint32_t value = 0;
  EXPECT_EQ(text_of([&] { group_->send(&value, 4, 1); }),
            "send on rank 0 of 1: expected another rank, found 1");
  EXPECT_EQ(text_of([&] { group_->receive(&value, 4, 0); }),
            "receive on rank 0 of 1: expected another rank, found 0");
}

INSTANTIATE_TEST_SUITE_P(Backends, SingleCollectivesTest, testing::Values("cpu", "cuda"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace fp8cal
