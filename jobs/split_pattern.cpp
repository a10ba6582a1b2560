#include "jobs/split_pattern.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>

#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

// Unicode's White_Space, as in Oniguruma; PCRE2's own \s also takes U+180E.
constexpr std::string_view kSpaces = R"(\t-\r\x{85}\p{Z})";

constexpr std::array<std::string_view, 6> kGroups = {"?:", "?i:", "?=", "?!", "?<=", "?<!"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class PatternRewriter {
 public:
  PatternRewriter(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string rewrite() {
    while (at_ < pattern_.size()) {
      if (in_class_) {
        class_member();
      } else {
        element();
      }
    }
    return std::move(out_);
  }

 private:
  std::string_view rest() const { return pattern_.substr(at_); }
  void copy(std::size_t length) {
    out_ += pattern_.substr(at_, length);
    at_ += length;
  }
  [[noreturn]] void refuse(std::string_view construct) const {
    throw InputError(where_, fmt::format("regex at byte {}", at_),
                     "a construct that fp8cal implements", in_quotes(construct));
  }

  void element() {
    switch (pattern_[at_]) {
      case '\\':
        return escape();
      case '[':
        return open_class();
      case '(':
        return open_group();
      case '{':
        return repetition();
      case '.':
      case '^':
      case '$':
        refuse(rest().substr(0, 1));
      default:
        return copy(1);
    }
  }

  void escape() {
    if (rest().size() < 2) refuse(rest());
    const char kind = rest()[1];
    if (kind == 's' || (kind == 'S' && !in_class_)) {
      out_ +=
          in_class_ ? std::string(kSpaces) : fmt::format("[{}{}]", kind == 'S' ? "^" : "", kSpaces);
      at_ += 2;
    } else if (kind == 'r' || kind == 'n' || kind == 't' ||
               std::ispunct(static_cast<unsigned char>(kind))) {
      copy(2);
    } else if (kind == 'p' || kind == 'P') {
      general_category();
    } else {
      refuse(rest().substr(0, 2));
    }
  }

  // Of one or two letters: the longer names of scripts mean different sets in the two libraries.
  void general_category() {
    const std::size_t end = rest().find('}');
    const std::string_view whole = rest().substr(0, end == rest().npos ? end : end + 1);
    const bool short_name = whole.size() == 5 || whole.size() == 6;
    if (end == rest().npos || !short_name || whole[2] != '{') refuse(whole);
    for (const char letter : whole.substr(3, whole.size() - 4)) {
      if (!std::isalpha(static_cast<unsigned char>(letter))) refuse(whole);
    }
    copy(whole.size());
  }

  void open_class() {
    copy(rest().substr(1, 1) == "^" ? 2 : 1);
    if (rest().substr(0, 1) == "]") refuse("[]");
    in_class_ = true;
  }

  void class_member() {
    const char c = pattern_[at_];
    if (c == '\\') return escape();
    if (c == '[' || rest().substr(0, 2) == "&&") refuse(rest().substr(0, 2));
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void open_group() {
    const std::string_view inside = rest().substr(1);
    for (const std::string_view group : kGroups) {
      if (inside.substr(0, group.size()) == group) return copy(1 + group.size());
    }
    if (inside.substr(0, 1) == "?" || inside.substr(0, 1) == "*") refuse(rest().substr(0, 4));
    copy(1);
  }

  // {n}, {n,} or {n,m}; {n}+ is possessive in one library only, {,m} a repetition in one only.
  void repetition() {
    std::size_t end = 1;
    while (end < rest().size() && is_digit(rest()[end])) ++end;
    const bool counted = end > 1;
    if (end < rest().size() && rest()[end] == ',') ++end;
    while (end < rest().size() && is_digit(rest()[end])) ++end;
    const bool closed = end < rest().size() && rest()[end] == '}';
    if (!counted || !closed || rest().substr(end + 1, 1) == "+") refuse(rest().substr(0, end + 2));
    copy(end + 1);
  }

  const std::string_view pattern_;
  const std::string& where_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string to_pcre2_pattern(std::string_view pattern, const std::string& where) {
  return PatternRewriter(pattern, where).rewrite();
}

}  // namespace fp8cal
