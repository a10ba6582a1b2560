#pragma once

#include <string>

namespace fp8cal {

/// "0:12", "3:05" or "1:00:00": minutes and seconds, and hours where there are some.
std::string duration_text(double seconds);

}  // namespace fp8cal
