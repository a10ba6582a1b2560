#include "jobs/json.hpp"

#include <fmt/format.h>

#include <iterator>
#include <utility>
#include <vector>

#include "jobs/error.hpp"
#include "jobs/file.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxShown = 100;

/// Walks the text and tells how far the parser has come, which the library's handlers are not told.
struct TrackedByte {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** reached;

  reference operator*() const { return *at; }
  TrackedByte& operator++() {
    *reached = ++at;
    return *this;
  }
  bool operator==(const TrackedByte& other) const { return at == other.at; }
  bool operator!=(const TrackedByte& other) const { return at != other.at; }
};

/// "[json.exception.parse_error.101] parse error at line 1, column 2: TEXT" without what precedes
/// TEXT, in printable characters.
std::string reason_of(const std::string& message) {
  std::size_t start = message.find("] ");
  start = start == std::string::npos ? 0 : start + 2;
  if (message.compare(start, 11, "parse error") == 0) {
    const std::size_t colon = message.find(": ", start);
    if (colon != std::string::npos) start = colon + 2;
  }
  std::string reason = message.substr(start, kMaxShown);
  for (char& c : reason) {
    if (c < ' ' || c > '~') c = '?';
  }
  return reason;
}

/// Builds the document from the parser's events, checking what the library's own builder does not.
class DocumentBuilder : public nlohmann::json_sax<json> {
 public:
  DocumentBuilder(const std::string& where, const char* begin, const char* const& reached)
      : where_(where), begin_(begin), reached_(reached) {}

  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { fail("JSON text", "binary data"); }
  bool start_object(std::size_t) override { return open(json::value_t::object); }
  bool start_array(std::size_t) override { return open(json::value_t::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    const auto [place, is_new] =
        open_.back()->get_ref<json::object_t&>().try_emplace(std::move(name));
    if (!is_new) fail("each key once in an object", "a second " + in_quotes(place->first));
    member_ = &place->second;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    fail("valid JSON", reason_of(error.what()));
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw InputError(where_, fmt::format("JSON at byte {}", reached_ - begin_), expected, found);
  }

  json& place(json&& value) {
    if (++values_ > kMaxJsonValues) {
      fail(fmt::format("at most {} values", kMaxJsonValues), "more");
    }
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back()->is_array()) {
      return open_.back()->get_ref<json::array_t&>().emplace_back(std::move(value));
    }
    return *member_ = std::move(value);
  }

  template <class T>
  bool add(T&& value) {
    place(json(std::forward<T>(value)));
    return true;
  }

  bool open(json::value_t type) {
    if (open_.size() == kMaxJsonDepth) {
      fail(fmt::format("nesting of at most {}", kMaxJsonDepth), "more");
    }
    open_.push_back(&place(json(type)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string& where_;
  const char* const begin_;
  const char* const& reached_;
  json root_;
  std::vector<json*> open_;  // the arrays and objects around the next value, outermost first
  json* member_ = nullptr;   // where the value of the last key goes
  std::size_t values_ = 0;
};

[[noreturn]] void fail_type(const std::string& where, const std::string& key,
                            const std::string& expected, const json& found) {
  throw InputError(where, key, expected, shown(found));
}

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  // The library takes a NUL for the end of the text and would ignore what follows.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw InputError(where, fmt::format("JSON at byte {}", nul), "valid JSON", "a NUL byte");
  }
  const char* reached = text.data();
  DocumentBuilder builder(where, text.data(), reached);
  const TrackedByte first{text.data(), &reached};
  const TrackedByte last{text.data() + text.size(), &reached};
  json::sax_parse(first, last, &builder);
  return builder.take();
}

json read_json_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  return parse_json(read_text_file(path, max_bytes), path.string());
}

std::string in_quotes(std::string_view text) {
  const std::string shortened(text.substr(0, kMaxShown));
  const char* more = text.size() > kMaxShown ? "..." : "";
  return json(shortened).dump(-1, ' ', true, json::error_handler_t::replace) + more;
}

std::string shown(const json& value) {
  switch (value.type()) {
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return fmt::format("an array of {}", value.size());
    case json::value_t::string:
      return in_quotes(value.get_ref<const std::string&>());
    default:
      return value.dump();
  }
}

const json& require_member(const json& object, const std::string& key, const std::string& where) {
  if (!object.is_object()) throw InputError(where, "JSON value", "an object", shown(object));
  const auto member = object.find(key);
  if (member == object.end()) throw InputError(where, key, "the key", "none");
  return *member;
}

const json& require_object(const json& object, const std::string& key, const std::string& where) {
  const json& value = require_member(object, key, where);
  if (!value.is_object()) fail_type(where, key, "an object", value);
  return value;
}

const json& require_array(const json& object, const std::string& key, const std::string& where) {
  const json& value = require_member(object, key, where);
  if (!value.is_array()) fail_type(where, key, "an array", value);
  return value;
}

const std::string& require_string(const json& object, const std::string& key,
                                  const std::string& where) {
  const json& value = require_member(object, key, where);
  if (!value.is_string()) fail_type(where, key, "a string", value);
  return value.get_ref<const std::string&>();
}

bool require_bool(const json& object, const std::string& key, const std::string& where) {
  const json& value = require_member(object, key, where);
  if (!value.is_boolean()) fail_type(where, key, "true or false", value);
  return value.get<bool>();
}

std::uint64_t require_unsigned(const json& object, const std::string& key, const std::string& where,
                               std::uint64_t min, std::uint64_t max) {
  const json& value = require_member(object, key, where);
  const bool fits = value.is_number_unsigned() && value.get<std::uint64_t>() >= min &&
                    value.get<std::uint64_t>() <= max;
  if (!fits) fail_type(where, key, fmt::format("an integer from {} to {}", min, max), value);
  return value.get<std::uint64_t>();
}

double require_number(const json& object, const std::string& key, const std::string& where,
                      double min, double max) {
  const json& value = require_member(object, key, where);
  const bool fits = value.is_number() && value.get<double>() >= min && value.get<double>() <= max;
  if (!fits) fail_type(where, key, fmt::format("a number from {} to {}", min, max), value);
  return value.get<double>();
}

void require_format(const json& object, const std::string& format, const std::string& where) {
  const std::string& found = require_string(object, "format", where);
  if (found != format) throw InputError(where, "format", format, in_quotes(found));
  require_unsigned(object, "version", where, 1, 1);
}

}  // namespace fp8cal
