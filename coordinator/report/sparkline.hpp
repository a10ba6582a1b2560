#pragma once

#include <string>
#include <vector>

namespace fp8cal {

/// One of eight bars a value, from the least to the greatest: "▁▃█". Values that are not finite
/// stand as a space. width: at most so many bars, each the greatest of its neighbours.
std::string sparkline(const std::vector<double>& values, std::size_t width);

}  // namespace fp8cal
