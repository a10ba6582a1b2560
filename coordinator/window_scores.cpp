#include "coordinator/window_scores.hpp"

#include <algorithm>

#include "jobs/packing.hpp"

namespace fp8cal {
namespace {

template <class T>
void place(std::vector<T>& all, std::size_t total, const Ranges& windows,
           const std::vector<T>& part, std::size_t predictions) {
  if (part.empty()) return;
  all.resize(total * predictions);
  const T* from = part.data();
  for (const Range& run : windows) {
    const std::size_t count = run.count * predictions;
    std::copy_n(from, count, all.data() + run.first * predictions);
    from += count;
  }
}

template <class T>
std::vector<T> rows(const std::vector<T>& all, const Ranges& windows, std::size_t predictions) {
  std::vector<T> some;
  if (all.empty()) return some;
  for (const Range& run : windows) {
    const T* begin = all.data() + run.first * predictions;
    some.insert(some.end(), begin, begin + run.count * predictions);
  }
  return some;
}

}  // namespace

void place_scores(VariantScores& all, std::size_t total, const Ranges& windows,
                  const VariantScores& part, std::size_t predictions) {
  place(all.nll, total, windows, part.nll, predictions);
  place(all.kl, total, windows, part.kl, predictions);
  place(all.same_top, total, windows, part.same_top, predictions);
}

VariantScores scores_of(const VariantScores& all, const Ranges& windows, std::size_t predictions) {
  return {rows(all.nll, windows, predictions), rows(all.kl, windows, predictions),
          rows(all.same_top, windows, predictions)};
}

void gather_scores(const Control& control, const Ranges& windows, const VariantScores& own,
                   VariantScores& all, std::size_t total, std::size_t predictions) {
  std::string bytes;
  pack(bytes, windows);
  pack(bytes, own.nll);
  pack(bytes, own.kl);
  pack(bytes, own.same_top);
  for (const std::string& from : control.gather(bytes)) {
    Unpacker parts(from);
    Ranges theirs;
    VariantScores scores;
    parts.take(theirs);
    parts.take(scores.nll);
    parts.take(scores.kl);
    parts.take(scores.same_top);
    place_scores(all, total, theirs, scores, predictions);
  }
}

}  // namespace fp8cal
