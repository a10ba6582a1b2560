#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "coordinator/supervision/mailbox.hpp"
#include "coordinator/supervision/monitor.hpp"
#include "sharding/control.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

using std::chrono::milliseconds;

Mailbox::Message wait_for_message(Mailbox& mailbox) {
  for (;;) {
    if (auto message = mailbox.take()) return *message;
  }
}

TEST(Mailbox, DeliversInOrder) {
  Mailbox mailbox(MPI_COMM_WORLD);
  const Control control(MPI_COMM_WORLD);
  EXPECT_FALSE(mailbox.take());
  control.max(0);  // a barrier: nobody has sent before
  if (mailbox.rank() != 0) {
    for (const char* text : {"one", "two", ""}) {
      while (!mailbox.send(0, text)) {
      }
    }
    while (!mailbox.all_sent()) {
    }
  } else {
    std::vector<std::string> received(static_cast<std::size_t>(mailbox.size()));
    for (int i = 0; i < 3 * (mailbox.size() - 1); ++i) {
      const Mailbox::Message message = wait_for_message(mailbox);
      received[static_cast<std::size_t>(message.from)] += message.bytes + ".";
    }
    for (std::size_t from = 1; from < received.size(); ++from) {
      EXPECT_EQ(received[from], "one.two..");
    }
  }
  control.max(0);
  EXPECT_FALSE(mailbox.take());
}

class MonitorTest : public testing::Test {
 protected:
  static constexpr double kDeadline = 2;

  void watch() {
    monitor_.emplace(make_common_watch(MPI_COMM_WORLD, kDeadline), control_.rank(),
                     MonitorLimits{.deadline = kDeadline});
  }

  const Control control_{MPI_COMM_WORLD};
  std::optional<Monitor> monitor_;
};

TEST_F(MonitorTest, BeginsAndEndsOverAndOver) {
  for (int i = 0; i < 20; ++i) {
    watch();
    if (i % 2 == 0) control_.max(0);
    monitor_.reset();
  }
}

TEST_F(MonitorTest, LeavesWhenTheLastRankDoes) {
  for (const int last : {0, control_.size() - 1}) {
    watch();
    if (control_.rank() == last) std::this_thread::sleep_for(milliseconds(700));
    monitor_.reset();
  }
}

TEST_F(MonitorTest, LetsRanksWaitForOneAtWork) {
  for (const int working : {0, control_.size() - 1}) {
    watch();
    for (int i = 0; control_.rank() == working && i < 25; ++i) {
      std::this_thread::sleep_for(milliseconds(100));
      tell_progress();
    }
    control_.max(0);  // the others have been here for longer than the deadline
    monitor_.reset();
  }
}

TEST_F(MonitorTest, GoesWithOtherUsesOfMpi) {
  watch();
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(control_.broadcast(control_.rank() == 0 ? large : ""), large);
    EXPECT_EQ(control_.gather(large).size(),
              control_.rank() == 0 ? static_cast<std::size_t>(control_.size()) : 0u);
  }
  monitor_.reset();
}

}  // namespace
}  // namespace fp8cal
