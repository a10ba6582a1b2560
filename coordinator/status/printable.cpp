#include "coordinator/status/printable.hpp"

#include "jobs/utf8.hpp"

namespace fp8cal {

std::string printable(std::string_view text) {
  const bool is_utf8 = first_invalid_utf8(text) == std::string_view::npos;
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_control = byte < 0x20 || byte == 0x7F;
    // U+0080 to U+009F: some terminals take them for the beginning of a command.
    const bool is_c1 = is_utf8 && byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (is_c1) ++i;
    line += is_control || is_c1 || (byte >= 0x80 && !is_utf8) ? '?' : text[i];
  }
  return line;
}

}  // namespace fp8cal
