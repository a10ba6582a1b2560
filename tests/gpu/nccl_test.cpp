#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "jobs/error.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/device_memory.hpp"
#include "sharding/nccl_collectives.hpp"

namespace fp8cal {
namespace {

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int world_size() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// Values in the memory of this rank's GPU.
template <class T>
class OnGpu {
 public:
  explicit OnGpu(const std::vector<T>& values)
      : count_(values.size()), memory_(allocate_device_memory(count_ * sizeof(T))) {
    FP8CAL_CUDA(cudaMemcpy(memory_.get(), values.data(), count_ * sizeof(T), cudaMemcpyDefault));
  }
  T* data() const { return static_cast<T*>(memory_.get()); }
  /// After all work of `stream`.
  std::vector<T> values(cudaStream_t stream) const {
    std::vector<T> values(count_);
    FP8CAL_CUDA(
        cudaMemcpyAsync(values.data(), data(), count_ * sizeof(T), cudaMemcpyDefault, stream));
    FP8CAL_CUDA(cudaStreamSynchronize(stream));
    return values;
  }

 private:
  std::size_t count_;
  DeviceMemory memory_;
};

/// Every rank of this host has a GPU of its own, or the test is skipped on all ranks.
class Nccl : public testing::Test {
 protected:
  void SetUp() override {
    MPI_Comm host;
    int rank_on_host = 0, ranks_on_host = 1, gpus = 0;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    MPI_Comm_rank(host, &rank_on_host);
    MPI_Comm_size(host, &ranks_on_host);
    MPI_Comm_free(&host);
    if (cudaGetDeviceCount(&gpus) != cudaSuccess) gpus = 0;
    int lacking = gpus < ranks_on_host ? 1 : 0;
    MPI_Allreduce(MPI_IN_PLACE, &lacking, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (lacking != 0) {
      const char* required = std::getenv("FP8CAL_REQUIRE_GPU");
      const bool asked_for = required != nullptr && std::string(required) == "1";
      ASSERT_FALSE(asked_for && gpus == 0) << "FP8CAL_REQUIRE_GPU=1, and no GPU";
      GTEST_SKIP() << "expected a GPU for each of " << ranks_on_host << " ranks, found " << gpus;
    }
    FP8CAL_CUDA(cudaSetDevice(rank_on_host));
    FP8CAL_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  void TearDown() override {
    if (stream_ != nullptr) FP8CAL_CUDA(cudaStreamDestroy(stream_));
  }

  cudaStream_t stream_ = nullptr;
};

TEST_F(Nccl, GathersInRankOrder) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  ASSERT_EQ(all.size(), world_size());
  const OnGpu own(std::vector<std::uint16_t>(3, static_cast<std::uint16_t>(all.rank())));
  const OnGpu gathered(
      std::vector<std::uint16_t>(3 * static_cast<std::size_t>(all.size()), 0xABAB));
  all.all_gather(own.data(), gathered.data(), 6);
  all.wait();
  const std::vector<std::uint16_t> values = gathered.values(stream_);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], i / 3);
}

TEST_F(Nccl, ReducesByMaximumAndIntegerSum) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  const auto rank = static_cast<std::uint32_t>(all.rank());
  const auto size = static_cast<std::uint32_t>(all.size());
  const OnGpu<std::uint32_t> maxima({rank, size - rank, 0xFFFFFFFFu});
  const OnGpu<std::uint64_t> sums({std::uint64_t{1} << 40, rank});
  const OnGpu<std::uint32_t> words({rank == 0 ? 0x8000BEEFu : 0u});
  all.all_max(maxima.data(), 3);
  all.all_sum(sums.data(), 2);
  all.all_sum(words.data(), 1);
  all.all_sum(words.data(), 0);
  all.wait();
  EXPECT_THAT(maxima.values(stream_), testing::ElementsAre(size - 1, size, 0xFFFFFFFFu));
  EXPECT_THAT(sums.values(stream_),
              testing::ElementsAre((std::uint64_t{1} << 40) * size, size * (size - 1) / 2));
  EXPECT_EQ(words.values(stream_)[0], 0x8000BEEFu);
}

TEST_F(Nccl, PassesMessagesAlongAChain) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  std::vector<std::uint16_t> own(100000);
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = static_cast<std::uint16_t>(i * 7);
  const OnGpu message(all.rank() == 0 ? own : std::vector<std::uint16_t>(own.size(), 0xABAB));
  if (all.rank() > 0) all.receive(message.data(), own.size() * 2, all.rank() - 1);
  if (all.rank() + 1 < all.size()) all.send(message.data(), own.size() * 2, all.rank() + 1);
  all.wait();
  EXPECT_EQ(message.values(stream_), own);
}

TEST_F(Nccl, WorksInStreamOrder) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  const std::size_t count = 1 << 22;
  const OnGpu own(std::vector<std::uint8_t>(count, 0xAB));
  const OnGpu gathered(
      std::vector<std::uint8_t>(count * static_cast<std::size_t>(all.size()), 0xAB));
  for (int round = 0; round < 20; ++round) {
    FP8CAL_CUDA(cudaMemsetAsync(own.data(), round * 8 + all.rank(), count, stream_));
    all.all_gather(own.data(), gathered.data(), count);
  }
  all.wait();
  const std::vector<std::uint8_t> values = gathered.values(stream_);
  for (std::size_t i = 0; i < values.size(); i += 4097) ASSERT_EQ(values[i], 19 * 8 + i / count);
}

/// Two lanes in turn, each writing what it sends next as soon as its last gather has ended.
TEST_F(Nccl, GathersBesideTheBackendsCalls) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  const std::size_t count = 1 << 22;
  const std::size_t ranks = static_cast<std::size_t>(all.size());
  std::vector<OnGpu<std::uint8_t>> own, gathered, seen;
  for (int lane = 0; lane < kGatherLanes; ++lane) {
    own.emplace_back(std::vector<std::uint8_t>(count, 0xAB));
    gathered.emplace_back(std::vector<std::uint8_t>(count * ranks, 0xAB));
    seen.emplace_back(std::vector<std::uint8_t>(count * ranks, 0xAB));
  }
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    for (int lane = 0; lane < kGatherLanes; ++lane) {
      const std::size_t l = static_cast<std::size_t>(lane);
      if (round > 0) {
        all.end_gather(lane);
        FP8CAL_CUDA(cudaMemcpyAsync(seen[l].data(), gathered[l].data(), count * ranks,
                                    cudaMemcpyDefault, stream_));
      }
      FP8CAL_CUDA(
          cudaMemsetAsync(own[l].data(), round * 8 + lane * 4 + all.rank(), count, stream_));
      all.begin_gather(own[l].data(), gathered[l].data(), count, lane);
    }
  }
  for (int lane = 0; lane < kGatherLanes; ++lane) {
    const std::size_t l = static_cast<std::size_t>(lane);
    all.end_gather(lane);
    const std::vector<std::uint8_t> last = gathered[l].values(stream_);
    const std::vector<std::uint8_t> before = seen[l].values(stream_);
    for (std::size_t i = 0; i < last.size(); i += 4097) {
      const int from = static_cast<int>(i / count);
      ASSERT_EQ(last[i], (kRounds - 1) * 8 + lane * 4 + from) << lane << ' ' << i;
      ASSERT_EQ(before[i], (kRounds - 2) * 8 + lane * 4 + from) << lane << ' ' << i;
    }
  }
}

TEST_F(Nccl, SplitsByColor) {
  const int half = world_rank() % 2;
  NcclCollectives own(MPI_COMM_WORLD, half, world_rank(), stream_);
  NcclCollectives all(MPI_COMM_WORLD, 0, world_rank(), stream_);
  EXPECT_EQ(own.size(), (world_size() + 1 - half) / 2);
  EXPECT_EQ(own.rank(), world_rank() / 2);
  const OnGpu<std::uint32_t> sum({1u});
  own.all_sum(sum.data(), 1);
  all.all_max(sum.data(), 1);
  all.wait();
  EXPECT_EQ(sum.values(stream_)[0], static_cast<std::uint32_t>((world_size() + 1) / 2));
}

TEST_F(Nccl, RefusesToTalkToItselfOrNobody) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  const OnGpu<std::uint32_t> word({1u});
  for (const int peer : {-1, all.rank(), all.size()}) {
    try {
      all.send(word.data(), 4, peer);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "nccl send on rank " + std::to_string(all.rank()) + " of " +
                                  std::to_string(all.size()) + ": expected another rank, found " +
                                  std::to_string(peer));
    }
  }
}

TEST_F(Nccl, AMissingRankIsAnErrorNotAHang) {
  if (world_size() == 1) GTEST_SKIP() << "needs 2 ranks";
  MPI_Comm late;
  MPI_Comm_dup(MPI_COMM_WORLD, &late);
  // The last rank takes part in the split alone, as one would that fails before it connects.
  const bool missing = world_rank() + 1 == world_size();
  if (missing) {
    MPI_Comm group;
    MPI_Comm_split(late, 0, 0, &group);
    char invitation[256];
    MPI_Bcast(invitation, NCCL_UNIQUE_ID_BYTES + sizeof(ncclResult_t), MPI_BYTE, 0, group);
    MPI_Comm_free(&group);
  } else {
    const auto begin = std::chrono::steady_clock::now();
    try {
      NcclCollectives all(late, 0, 0, stream_, std::chrono::seconds(3));
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::failed);
      EXPECT_THAT(error.what(), testing::HasSubstr("nccl connect on rank"));
      std::printf("  %s\n", error.what());
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Comm_free(&late);
}

TEST_F(Nccl, Speed) {
  NcclCollectives all(MPI_COMM_WORLD, 0, 0, stream_);
  if (all.size() == 1) GTEST_SKIP() << "needs 2 ranks";
  for (const std::size_t bytes :
       {std::size_t{1} << 16, std::size_t{1} << 20, std::size_t{1} << 26}) {
    const OnGpu own(std::vector<std::uint8_t>(bytes, 1));
    const OnGpu gathered(std::vector<std::uint8_t>(bytes * static_cast<std::size_t>(all.size())));
    all.all_gather(own.data(), gathered.data(), bytes);
    all.wait();
    const auto begin = std::chrono::steady_clock::now();
    constexpr int kRuns = 20;
    for (int i = 0; i < kRuns; ++i) all.all_gather(own.data(), gathered.data(), bytes);
    all.wait();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kRuns;
    if (all.rank() != 0) continue;
    std::printf("  all_gather of %zu bytes a rank, %d ranks: %.1f us, %.1f GB/s received\n", bytes,
                all.size(), seconds * 1e6,
                1e-9 * static_cast<double>(bytes) * (all.size() - 1) / seconds);
  }
}

}  // namespace
}  // namespace fp8cal
