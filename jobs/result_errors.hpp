#pragma once

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "jobs/error.hpp"

namespace fp8cal {

/// `text`, which may hold names from an untrusted file, as part of one line.
inline std::string shown(std::string text) {
  constexpr std::size_t kMaxShownBytes = 500;
  if (text.size() > kMaxShownBytes) text.replace(kMaxShownBytes, std::string::npos, "...");
  const auto breaks_lines = [](unsigned char c) { return c < ' ' || c == 0x7F; };
  std::ranges::replace_if(text, breaks_lines, '?');
  return text;
}

/// Calls read(), which reads the HDF5 file at `path`; whatever it throws becomes an InputError of
/// one line.
template <class Read>
void read_in_one_line(const std::filesystem::path& path, Read read) {
  try {
    read();
  } catch (const InputError& error) {
    throw InputError(shown(error.where), shown(error.what_is), shown(error.expected),
                     shown(error.found));
  } catch (const Error& error) {
    throw InputError(path.string(), "content", "an undamaged HDF5 file", shown(error.what()));
  } catch (const std::invalid_argument& error) {
    throw InputError(path.string(), "content", "parts that fit together", shown(error.what()));
  }
}

}  // namespace fp8cal
