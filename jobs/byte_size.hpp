#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fp8cal {

/// "80GiB", "512MiB", "4KiB" or plain bytes; none where the text is no size above zero.
std::optional<std::uint64_t> parse_byte_size(const std::string& text);

/// "11.3 MiB": the largest binary unit that the size reaches.
std::string format_byte_size(std::uint64_t bytes);

}  // namespace fp8cal
