#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fp8cal {

/// The offset of the first byte that belongs to no well-formed character (Unicode 15, table 3-7),
/// or npos where `text` is valid UTF-8.
std::size_t first_invalid_utf8(std::string_view text);

/// Throws InputError naming `where` and the byte offset where `text` is not valid UTF-8.
void check_utf8(std::string_view text, const std::string& where);

/// Bytes of the character that starts with `lead`, in valid UTF-8.
inline std::size_t utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/// Whether `byte` occurs anywhere in valid UTF-8.
inline bool occurs_in_utf8(unsigned char byte) {
  return byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
}

}  // namespace fp8cal
