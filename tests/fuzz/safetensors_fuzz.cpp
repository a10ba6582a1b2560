#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "jobs/error.hpp"
#include "jobs/safetensors.hpp"

/// `data` is a whole safetensors file. Any exception but fp8cal::Error is a finding.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kPrefix = 8;
  if (size < kPrefix) return 0;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  try {
    const std::uint64_t length = fp8cal::parse_header_length(bytes.first<kPrefix>(), size, "fuzz");
    const std::string_view header(reinterpret_cast<const char*>(data) + kPrefix, length);
    fp8cal::parse_safetensors_header(header, size - kPrefix - length, "fuzz");
  } catch (const fp8cal::Error&) {
  }
  return 0;
}
