#include "coordinator/supervision/watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "coordinator/supervision/last_words.hpp"
#include "coordinator/supervision/mailbox.hpp"
#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

/// What a message is about. Ranks tell that they are `ready` to leave; when all are, rank 0 tells
/// them to `leave`, and the `gone` of each is its last message.
enum class Word : char { alive, ready, leave, gone };

std::string message(Word word, const Report& report) {
  std::string bytes;
  pack(bytes, word);
  pack(bytes, report.progress);
  pack(bytes, report.waiting);
  pack(bytes, report.place);
  pack(bytes, report.position);
  return bytes;
}

Word read_message(const std::string& bytes, Report& report) {
  Word word{};
  Unpacker message(bytes);
  message.take(word);
  message.take(report.progress);
  message.take(report.waiting);
  message.take(report.place);
  message.take(report.position);
  return word;
}

std::string accusation(std::size_t rank, const Report& report, const std::string& fault) {
  return fmt::format("{}: {}", rank_text(static_cast<int>(rank), report.place), fault);
}

/// When to write: at once, and then now and again.
class Interval {
 public:
  explicit Interval(double deadline) : length_(std::min(1.0, deadline / 5)) {}

  bool is_over() {
    const Clock::time_point now = Clock::now();
    if (now < next_) return false;
    next_ = now + std::chrono::duration_cast<Clock::duration>(length_);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::chrono::duration<double> length_;
  Clock::time_point next_;
};

class CommonWatch : public Watch {
 public:
  void end_job(const std::string& line, ExitCode code) const override {
    end_all_ranks(line, static_cast<int>(code));
  }
};

class FirstRank : public CommonWatch {
 public:
  FirstRank(std::unique_ptr<Mailbox> mailbox, double deadline)
      : mailbox_(std::move(mailbox)),
        interval_(deadline),
        judge_(static_cast<std::size_t>(mailbox_->size()), deadline),
        last_words_(static_cast<std::size_t>(mailbox_->size()), Word::alive),
        told_to_leave_(static_cast<std::size_t>(mailbox_->size()), false) {}

  bool round(const Report& own, double seconds, bool leaving) override {
    judge_.hear(0, own);
    while (const auto mail = mailbox_->take()) hear(*mail);
    if (leaving) hear_word(0, Word::ready);
    if (const auto culprit = judge_.pass(seconds)) {
      end_job(accusation(culprit->rank, judge_.last_report(culprit->rank), culprit->fault),
              ExitCode::failed);
    }
    if (!std::count(last_words_.begin(), last_words_.end(), Word::alive)) return dissolve(own);
    if (!interval_.is_over()) return false;
    for (int to = 1; to < mailbox_->size(); ++to) mailbox_->send(to, message(Word::alive, own));
    return false;
  }

 private:
  void hear(const Mailbox::Message& mail) {
    Report report;
    const Word word = read_message(mail.bytes, report);
    judge_.hear(static_cast<std::size_t>(mail.from), report);
    hear_word(static_cast<std::size_t>(mail.from), word);
  }

  void hear_word(std::size_t rank, Word word) {
    last_words_[rank] = word;
    if (word != Word::alive) judge_.excuse(rank);
    if (word == Word::gone) judge_.dismiss(rank);
  }

  /// All ranks are ready to leave.
  bool dissolve(const Report& own) {
    std::size_t gone = 1;
    for (std::size_t r = 1; r < last_words_.size(); ++r) {
      if (!told_to_leave_[r]) {
        told_to_leave_[r] = mailbox_->send(static_cast<int>(r), message(Word::leave, own));
      }
      if (last_words_[r] == Word::gone) ++gone;
    }
    return gone == last_words_.size() && mailbox_->all_sent();
  }

  std::unique_ptr<Mailbox> mailbox_;
  Interval interval_;
  Judge judge_;
  std::vector<Word> last_words_;
  std::vector<bool> told_to_leave_;
};

class OtherRank : public CommonWatch {
 public:
  OtherRank(std::unique_ptr<Mailbox> mailbox, double deadline)
      : mailbox_(std::move(mailbox)),
        interval_(deadline),
        deadline_(deadline + turn_of(mailbox_->rank() - 1).count()) {}

  bool round(const Report& own, double seconds, bool leaving) override {
    silence_ += seconds;
    while (const auto mail = mailbox_->take()) {
      leave_ = leave_ || read_message(mail->bytes, first_) == Word::leave;
      silence_ = 0;
    }
    if (gone_) return mailbox_->all_sent();
    if (leave_) {
      gone_ = mailbox_->send(0, message(Word::gone, own));
      return false;
    }
    if (silence_ > deadline_) {
      const std::string fault =
          fmt::format("not heard of for {:.0f} s, last {}", silence_, first_.position);
      end_job(accusation(0, first_, fault), ExitCode::failed);
    }
    const bool news = leaving && !ready_;
    if (!interval_.is_over() && !news) return false;
    const bool sent = mailbox_->send(0, message(leaving ? Word::ready : Word::alive, own));
    ready_ = ready_ || (leaving && sent);
    return false;
  }

 private:
  std::unique_ptr<Mailbox> mailbox_;
  Interval interval_;
  double deadline_;  // each rank gives lower ones some time to speak first
  double silence_ = 0;
  Report first_{.place = {}, .position = "at the start"};  // rank 0's last
  bool ready_ = false;                                     // and rank 0 is told
  bool leave_ = false;
  bool gone_ = false;
};

class LoneRank : public Watch {
 public:
  LoneRank(int rank, bool waits_for_ranks, double deadline)
      : rank_(rank), waits_for_ranks_(waits_for_ranks), judge_(1, deadline) {}

  bool round(const Report& own, double seconds, bool leaving) override {
    if (waits_for_ranks_ && own.waiting) ++waits_;
    Report report = own;
    report.progress += waits_;
    judge_.hear(0, report);
    if (const auto culprit = judge_.pass(seconds)) {
      end_job(accusation(static_cast<std::size_t>(rank_), own, culprit->fault), ExitCode::failed);
    }
    return leaving;
  }

  void end_job(const std::string& line, ExitCode code) const override {
    end_this_rank(line, static_cast<int>(code));
  }

 private:
  int rank_;
  bool waits_for_ranks_;
  std::uint64_t waits_ = 0;  // rounds: whoever waits for others gets on as they do
  Judge judge_;
};

}  // namespace

std::unique_ptr<Watch> make_common_watch(MPI_Comm world, double deadline) {
  auto mailbox = std::make_unique<Mailbox>(world);
  if (mailbox->rank() == 0) return std::make_unique<FirstRank>(std::move(mailbox), deadline);
  return std::make_unique<OtherRank>(std::move(mailbox), deadline);
}

std::unique_ptr<Watch> make_lone_watch(int rank, bool waits_for_ranks, double deadline) {
  return std::make_unique<LoneRank>(rank, waits_for_ranks, deadline);
}

}  // namespace fp8cal
