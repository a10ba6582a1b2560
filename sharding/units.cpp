#include "sharding/units.hpp"

#include <algorithm>
#include <span>

namespace fp8cal {
namespace {

std::vector<Unit> units_of_share(const Ranges& left, const Plan& plan, int share) {
  const Range own = share_of(count_of(left), plan.grid.sequences, share);
  std::vector<Unit> units;
  std::size_t position = 0;
  for (const Range& run : part_of(left, own)) {
    for (std::size_t at = 0; at < run.count; at += plan.work.microbatch) {
      const std::size_t count = std::min(plan.work.microbatch, run.count - at);
      units.push_back({{run.first + at, count}, position});
      position += count;
    }
  }
  return units;
}

std::vector<std::vector<Unit>> units_of_shares(const Ranges& left, const Plan& plan) {
  std::vector<std::vector<Unit>> all;
  for (int share = 0; share < plan.grid.sequences; ++share) {
    all.push_back(units_of_share(left, plan, share));
  }
  return all;
}

/// Units [first, first + count) as far as there are so many.
std::span<const Unit> some(const std::vector<Unit>& units, std::size_t first, std::size_t count) {
  const std::size_t begin = std::min(first, units.size());
  return std::span(units).subspan(begin, std::min(count, units.size() - begin));
}

}  // namespace

std::vector<Units> passes_over(const Ranges& left, const Plan& plan, int share,
                               std::size_t units_a_pass) {
  const std::vector<std::vector<Unit>> shares = units_of_shares(left, plan);
  std::size_t most = 0;
  for (const std::vector<Unit>& one : shares) most = std::max(most, one.size());
  const std::size_t a_pass = units_a_pass == 0 ? std::max<std::size_t>(1, most) : units_a_pass;
  std::vector<Units> passes;
  for (std::size_t first = 0; first == 0 || first < most; first += a_pass) {
    Units pass;
    pass.most = std::min(a_pass, most - first);
    const auto own = some(shares[static_cast<std::size_t>(share)], first, a_pass);
    pass.own.assign(own.begin(), own.end());
    for (const std::vector<Unit>& one : shares) {
      for (const Unit& unit : some(one, first, a_pass)) pass.sequences += unit.sequences.count;
    }
    passes.push_back(std::move(pass));
  }
  return passes;
}

Ranges done_after(std::size_t units, const Ranges& left, const Plan& plan) {
  Ranges done;
  for (const std::vector<Unit>& share : units_of_shares(left, plan)) {
    for (const Unit& unit : some(share, 0, units)) done.push_back(unit.sequences);
  }
  return joined({}, done);
}

}  // namespace fp8cal
