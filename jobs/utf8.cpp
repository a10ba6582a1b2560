#include "jobs/utf8.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

bool within(unsigned char byte, unsigned char low, unsigned char high) {
  return byte >= low && byte <= high;
}

/// Bytes of the well-formed character at the start of `text`, not empty; 0 where there is none.
std::size_t well_formed_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t length = utf8_length(lead);
  if (text.size() < length) return 0;
  // The second byte's bounds keep out overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (!within(at(1), low, high)) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!within(at(i), 0x80, 0xBF)) return 0;
  }
  return length;
}

bool eight_are_ascii(const char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return (word & 0x8080808080808080u) == 0;
}

}  // namespace

std::size_t first_invalid_utf8(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    if (text.size() - position >= 8 && eight_are_ascii(text.data() + position)) {
      position += 8;
      continue;
    }
    const std::size_t length = well_formed_length(text.substr(position));
    if (length == 0) return position;
    position += length;
  }
  return std::string_view::npos;
}

void check_utf8(std::string_view text, const std::string& where) {
  const std::size_t offset = first_invalid_utf8(text);
  if (offset == std::string_view::npos) return;
  throw InputError(where, fmt::format("text at byte {}", offset), "valid UTF-8",
                   fmt::format("byte 0x{:02x}", static_cast<unsigned char>(text[offset])));
}

}  // namespace fp8cal
