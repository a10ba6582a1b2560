#pragma once

#include <string>
#include <string_view>

namespace fp8cal {

/// `text` on one line of Markdown, shown as it is: a code span of at most 300 bytes. Control
/// characters and bytes that are not UTF-8 become '?'.
std::string code_span(std::string_view text);

}  // namespace fp8cal
