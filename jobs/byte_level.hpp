#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fp8cal {

/// The byte-level alphabet of GPT-2's encoder.py (bytes_to_unicode), in which tokenizer.json writes
/// its tokens: the printable bytes 33-126, 161-172 and 174-255 stand for themselves as code points,
/// the other 68 are U+0100 onwards in ascending order.

/// The character of `byte`, as UTF-8.
std::string byte_level_character(unsigned char byte);

/// The bytes that `token` stands for; none where it holds a character outside the alphabet.
std::optional<std::string> byte_level_decode(std::string_view token);

}  // namespace fp8cal
