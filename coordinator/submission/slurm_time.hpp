#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fp8cal {

/// Seconds of a time limit as Slurm writes it: minutes, minutes:seconds, hours:minutes:seconds,
/// days-hours, days-hours:minutes or days-hours:minutes:seconds (sbatch(1), --time). None where the
/// text is no time above zero, or more than ten years.
std::optional<std::uint64_t> parse_slurm_time(const std::string& text);

}  // namespace fp8cal
