#include "coordinator/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostEntries = 20'000;
constexpr const char* kFurther = "further stages";

}  // namespace

void Timeline::begin(const std::string& stage, const std::string&, std::size_t,
                     std::size_t tokens_per_unit) {
  tokens_per_unit_ = tokens_per_unit;
  if (entries_.size() < most_) {
    entries_.push_back({stage, now(), now(), 0});
  } else {
    entries_.back().stage = kFurther;
  }
}

void Timeline::advance(std::size_t units) {
  if (!entries_.empty()) entries_.back().tokens += units * tokens_per_unit_;
}

void Timeline::end() {
  if (!entries_.empty()) entries_.back().end = now();
}

std::size_t timeline_entries(int ranks) {
  return std::max<std::size_t>(1, kMostEntries / static_cast<std::size_t>(ranks));
}

std::vector<std::string> gather_timeline(const Timeline& own, const Control& control) {
  std::string bytes;
  for (const Timeline::Entry& one : own.entries()) {
    pack(bytes, fmt::format("{}\t{:.3f}\t{:.3f}\t{}\t{}", control.rank(), one.begin, one.end,
                            one.tokens, one.stage));
  }
  std::vector<std::string> lines;
  for (const std::string& from : control.gather(bytes)) {
    for (Unpacker unpacker(from); !unpacker.done();) unpacker.take(lines.emplace_back());
  }
  return lines;
}

}  // namespace fp8cal
