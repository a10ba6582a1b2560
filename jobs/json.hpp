#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fp8cal {

inline constexpr std::size_t kMaxJsonDepth = 128;
/// Bounds the memory of a parsed document, which may exceed its text many times.
inline constexpr std::size_t kMaxJsonValues = std::size_t{1} << 23;

/// Parses untrusted JSON (RFC 8259), more strictly than the library does: a key that occurs twice
/// in one object, a NUL byte, nesting beyond kMaxJsonDepth and more than kMaxJsonValues values are
/// refused, as are invalid UTF-8 and numbers beyond a double. Throws InputError naming `where` and
/// the byte.
nlohmann::json parse_json(std::string_view text, const std::string& where);

/// As parse_json; a file beyond `max_bytes` is refused before it is read.
nlohmann::json read_json_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// `text` from an untrusted file as one line of ASCII in double quotes, escaped, shortened beyond
/// 100 bytes: fit for a message.
std::string in_quotes(std::string_view text);

/// `value` as JSON text, shortened likewise: fit for the "found" of a message.
std::string shown(const nlohmann::json& value);

/// Typed members of an object. Each throws InputError naming `where`, the key, what was expected
/// and found where `object` is no object, or the key is missing, of another type or out of bounds.
const nlohmann::json& require_member(const nlohmann::json& object, const std::string& key,
                                     const std::string& where);
const nlohmann::json& require_object(const nlohmann::json& object, const std::string& key,
                                     const std::string& where);
const nlohmann::json& require_array(const nlohmann::json& object, const std::string& key,
                                    const std::string& where);
const std::string& require_string(const nlohmann::json& object, const std::string& key,
                                  const std::string& where);
bool require_bool(const nlohmann::json& object, const std::string& key, const std::string& where);
/// An integer literal in [min, max]; 8.0 is not one.
std::uint64_t require_unsigned(const nlohmann::json& object, const std::string& key,
                               const std::string& where, std::uint64_t min = 0,
                               std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
/// Any number in [min, max].
double require_number(const nlohmann::json& object, const std::string& key,
                      const std::string& where, double min, double max);

/// Throws InputError naming `where` unless the object says "format": `format` and "version": 1.
void require_format(const nlohmann::json& object, const std::string& format,
                    const std::string& where);

}  // namespace fp8cal
