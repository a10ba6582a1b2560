#include "sharding/control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

TEST(Control, GathersInRankOrder) {
  const Control control(MPI_COMM_WORLD);
  const std::string own(static_cast<std::size_t>(control.rank()) * 1000, 'a' + control.rank());
  const std::vector<std::string> all = control.gather(own);
  if (control.rank() != 0) {
    EXPECT_TRUE(all.empty());
    return;
  }
  ASSERT_EQ(all.size(), static_cast<std::size_t>(control.size()));
  for (std::size_t r = 0; r < all.size(); ++r) {
    EXPECT_EQ(all[r], std::string(r * 1000, static_cast<char>('a' + r)));
  }
}

TEST(Control, BroadcastsBytesThatHoldZeros) {
  const Control control(MPI_COMM_WORLD);
  const std::string sent("one\0two", 7);
  EXPECT_EQ(control.broadcast(control.rank() == 0 ? sent : "other"), sent);
  EXPECT_EQ(control.broadcast(""), "");
}

TEST(Control, KnowsItsHost) {
  const Control control(MPI_COMM_WORLD);
  EXPECT_EQ(control.ranks_on_host(), control.size());
  EXPECT_EQ(control.rank_on_host(), control.rank());
  EXPECT_EQ(control.max(control.rank()), control.size() - 1);
}

TEST(Agreement, EveryRankThrowsTheFirstError) {
  const Control control(MPI_COMM_WORLD);
  const auto step = [&] {
    if (control.rank() == control.size() - 1) {
      throw InputError("file.h5", "too small", "10 bytes", "3");
    }
  };
  try {
    run_agreed(control, step);
    FAIL() << "no error";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_input);
    EXPECT_STREQ(error.what(), "file.h5: too small: expected 10 bytes, found 3");
  }
}

TEST(Agreement, TheLowestRankSpeaksAndAnyExceptionCounts) {
  const Control control(MPI_COMM_WORLD);
  const auto step = [&] { throw std::runtime_error("rank " + std::to_string(control.rank())); };
  try {
    run_agreed(control, step);
    FAIL() << "no error";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::failed);
    EXPECT_STREQ(error.what(), "rank 0");
  }
}

TEST(Agreement, NothingHappensWhereAllIsWell) {
  int calls = 0;
  run_agreed(Control(MPI_COMM_WORLD), [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace fp8cal
