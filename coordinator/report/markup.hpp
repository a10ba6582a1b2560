#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fp8cal {

/// Well-formed HTML or SVG. Untrusted text gets into it as text or as the value of an attribute
/// alone, and is escaped either way.
class Markup {
 public:
  /// Names and values, as written in the source.
  using Attributes = std::vector<std::pair<const char*, std::string>>;

  Markup() = default;

  static Markup text(std::string_view text);
  static Markup element(const char* name, const Attributes& attributes, const Markup& content);
  /// Of HTML, without content and end.
  static Markup void_element(const char* name, const Attributes& attributes);
  /// A part of the program, such as a style sheet: taken as it is.
  static Markup trusted(std::string_view markup);

  Markup& operator+=(const Markup& other);
  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

/// `text` with nothing in it that HTML or SVG takes for markup, neither between tags nor in quotes;
/// valid UTF-8, control characters as '?'.
std::string escaped(std::string_view text);

/// Shorthands of Markup::element, with text as content.
Markup tag(const char* name, const Markup::Attributes& attributes, const Markup& content);
Markup tag(const char* name, const Markup::Attributes& attributes, std::string_view text);
Markup tag(const char* name, std::string_view text);

/// A coordinate, to a tenth.
std::string at(double value);

}  // namespace fp8cal
