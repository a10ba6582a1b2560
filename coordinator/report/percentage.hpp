#pragma once

#include <cstdint>
#include <string>

namespace fp8cal {

/// "0.0183 %", with as many digits as tell it from none: "0" only where `part` is 0.
std::string percentage(std::uint64_t part, std::uint64_t whole);

}  // namespace fp8cal
