#include "jobs/sampling.hpp"

#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <utility>

#include "jobs/error.hpp"
#include "jobs/random.hpp"

namespace fp8cal {
namespace {

std::size_t count_windows(std::size_t tokens, std::size_t sequence_length,
                          const std::string& where) {
  if (sequence_length == 0) throw InputError(where, "sequence length", "at least 1 token", "0");
  const std::size_t windows = tokens / sequence_length;
  if (windows == 0) {
    throw InputError(where, "text shorter than one window",
                     fmt::format("at least {} tokens", sequence_length), std::to_string(tokens));
  }
  if (windows > std::numeric_limits<std::uint32_t>::max()) {
    throw InputError(where, "windows", "fewer than 2^32", std::to_string(windows));
  }
  return windows;
}

void check_enough(std::size_t wanted, std::size_t windows, std::size_t sequence_length,
                  const std::string& where) {
  if (wanted >= 1 && wanted <= windows) return;
  throw InputError(where, fmt::format("windows of {} tokens", sequence_length),
                   fmt::format("from 1 to the {} that the text has", windows),
                   fmt::format("{} asked for", wanted));
}

std::vector<std::uint32_t> draw_ids(std::size_t windows, std::size_t samples, std::uint64_t seed) {
  std::vector<std::uint32_t> ids(windows);
  std::iota(ids.begin(), ids.end(), 0);
  std::mt19937_64 generator(seed);
  for (std::size_t i = 0; i < samples; ++i) {
    std::swap(ids[i], ids[i + draw_below(windows - i, generator)]);
  }
  ids.resize(samples);
  return ids;
}

}  // namespace

TokenWindows cut_windows(std::span<const std::uint32_t> stream, std::size_t sequence_length,
                         std::optional<std::size_t> max_windows, const std::string& where) {
  const std::size_t windows = count_windows(stream.size(), sequence_length, where);
  const std::size_t taken = max_windows.value_or(windows);
  check_enough(taken, windows, sequence_length, where);
  const auto tokens = stream.first(taken * sequence_length);
  return {sequence_length, {tokens.begin(), tokens.end()}};
}

DrawnWindows draw_windows(std::span<const std::uint32_t> stream, std::size_t sequence_length,
                          std::size_t samples, std::uint64_t seed, const std::string& where) {
  const std::size_t windows = count_windows(stream.size(), sequence_length, where);
  check_enough(samples, windows, sequence_length, where);
  DrawnWindows drawn{{sequence_length, {}}, draw_ids(windows, samples, seed)};
  drawn.windows.tokens.reserve(samples * sequence_length);
  for (const std::uint32_t id : drawn.sample_ids) {
    const auto window = stream.subspan(id * sequence_length, sequence_length);
    drawn.windows.tokens.insert(drawn.windows.tokens.end(), window.begin(), window.end());
  }
  return drawn;
}

}  // namespace fp8cal
