#pragma once

#include <string>
#include <string_view>

namespace fp8cal {

/// Untrusted text as one line that a terminal takes as text: '?' for each control character, and
/// for each byte beyond ASCII where the text is not valid UTF-8.
std::string printable(std::string_view text);

}  // namespace fp8cal
