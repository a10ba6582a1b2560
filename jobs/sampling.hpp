#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/result.hpp"

namespace fp8cal {

/// The windows of `stream` in order: window w is tokens [w * sequence_length, (w + 1) *
/// sequence_length); the remainder is dropped. `max_windows` takes the first ones only. Throws
/// InputError naming `where` and the counts where there is not one window, or fewer than
/// `max_windows`.
TokenWindows cut_windows(std::span<const std::uint32_t> stream, std::size_t sequence_length,
                         std::optional<std::size_t> max_windows, const std::string& where);

struct DrawnWindows {
  TokenWindows windows;                   ///< in the order drawn
  std::vector<std::uint32_t> sample_ids;  ///< [samples]: each one's number in cut_windows' order
};

/// Draws `samples` of the windows of `stream` without replacement. Throws InputError naming `where`
/// and both counts where there are fewer.
///
/// The draw, for anyone to redo: let ids = 0, 1, ..., windows - 1 and rng = MT19937-64 (Nishimura
/// and Matsumoto; std::mt19937_64) seeded with `seed`. For i = 0, ..., samples - 1: n = windows -
/// i; take x from rng, again while x < 2^64 mod n; exchange ids[i] and ids[i + x mod n]. The sample
/// is ids[0 .. samples - 1].
DrawnWindows draw_windows(std::span<const std::uint32_t> stream, std::size_t sequence_length,
                          std::size_t samples, std::uint64_t seed, const std::string& where);

}  // namespace fp8cal
