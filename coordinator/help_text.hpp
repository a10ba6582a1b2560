#pragma once

#include <string>

namespace fp8cal {

/// What `fp8cal help [TOPIC]` prints. Throws InputError for an unknown topic.
std::string help_text(const std::string& topic);

}  // namespace fp8cal
