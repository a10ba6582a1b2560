#include "jobs/byte_level.hpp"

#include <array>
#include <cstdint>

namespace fp8cal {
namespace {

constexpr std::size_t kCodePoints = 256 + 68;
constexpr std::int16_t kNoByte = -1;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<std::uint16_t, 256> code_point{};
  std::array<std::int16_t, kCodePoints> byte{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(kNoByte);
  std::uint16_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto code_point = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
    alphabet.code_point[byte] = code_point;
    alphabet.byte[code_point] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string byte_level_character(unsigned char byte) {
  const unsigned code_point = kAlphabet.code_point[byte];
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

std::optional<std::string> byte_level_decode(std::string_view token) {
  std::string bytes;
  for (std::size_t i = 0; i < token.size(); ++i) {
    unsigned code_point = static_cast<unsigned char>(token[i]);
    if (code_point >= 0x80) {
      if (code_point >= 0xE0 || i + 1 == token.size()) return std::nullopt;
      code_point = (code_point & 0x1F) << 6 | (static_cast<unsigned char>(token[++i]) & 0x3F);
    }
    if (code_point >= kCodePoints || kAlphabet.byte[code_point] == kNoByte) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[code_point]));
  }
  return bytes;
}

}  // namespace fp8cal
