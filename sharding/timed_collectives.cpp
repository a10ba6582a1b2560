#include "sharding/timed_collectives.hpp"

namespace fp8cal {
namespace {

constexpr const char* kReduce = "all_reduce";

template <class T>
double bytes_of(std::size_t count) {
  return static_cast<double>(count * sizeof(T));
}

}  // namespace

void TimedCollectives::begin_gather(const void* sent, void* received, std::size_t bytes, int lane) {
  gathers_.at(static_cast<std::size_t>(lane)) = {sent, received, bytes};
}

void TimedCollectives::end_gather(int lane) {
  const Gather gather = gathers_.at(static_cast<std::size_t>(lane));
  const double received = static_cast<double>(gather.bytes) * (size() - 1);
  timer_.time("all_gather", received, [&] {
    inner_.begin_gather(gather.sent, gather.received, gather.bytes, lane);
    inner_.end_gather(lane);
  });
}

void TimedCollectives::all_max(std::uint32_t* values, std::size_t count) {
  timer_.time(kReduce, bytes_of<std::uint32_t>(count), [&] { inner_.all_max(values, count); });
}

void TimedCollectives::all_sum(std::uint64_t* values, std::size_t count) {
  timer_.time(kReduce, bytes_of<std::uint64_t>(count), [&] { inner_.all_sum(values, count); });
}

void TimedCollectives::all_sum(std::uint32_t* values, std::size_t count) {
  timer_.time(kReduce, bytes_of<std::uint32_t>(count), [&] { inner_.all_sum(values, count); });
}

}  // namespace fp8cal
